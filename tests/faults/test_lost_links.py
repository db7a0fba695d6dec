"""Networks that drop, cut and close: what a tunnel notices, and that it comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.proof import BACKOFF, FREE_RETRY, UNANSWERED_KEEPALIVES, proves

if TYPE_CHECKING:
    from tests.faults.scene import Scene


@proves(
    "black hole both ways, while idle",
    says=("backoff", "peer_dead"),
    noticed=UNANSWERED_KEEPALIVES,
    flows=BACKOFF,
)
def test_a_black_hole_is_found_by_unanswered_keepalives(scene: Scene) -> None:
    scene.begins()
    scene.link.hold()
    scene.says_so()
    scene.link.go()
    scene.recovers()


@proves("the connection is reset", says=("backoff", "lost"), flows=BACKOFF)
def test_a_reset_is_noticed_at_once(scene: Scene) -> None:
    scene.begins()
    scene.link.reset()
    scene.says_so()
    scene.recovers()


@proves("the connection is closed cleanly", says=("backoff", "lost"), flows=BACKOFF)
def test_a_clean_close_is_noticed_at_once(scene: Scene) -> None:
    scene.begins()
    scene.link.close()
    scene.says_so()
    scene.recovers()


@proves("the server's port refuses connections", says=("backoff", "refused"), flows=FREE_RETRY)
def test_a_stopped_listener_hurts_only_new_connections(scene: Scene) -> None:
    scene.begins()
    scene.link.stop_listening()
    scene.carries_data()
    assert scene.said() == []
    scene.link.reset()
    scene.says_so()
    scene.link.listen()
    scene.recovers()
