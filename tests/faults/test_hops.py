"""A chain of hosts of which one dies: the failure names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.site import host_table
from tests.faults.proof import BACKOFF, UNANSWERED_KEEPALIVES, proves
from tests.faults.scene import QUICK_HOST

if TYPE_CHECKING:
    from tests.faults.scene import Scene


@proves(
    "the first hop of a chain dies",
    says=("backoff", "peer_dead"),
    noticed=UNANSWERED_KEEPALIVES,
    flows=BACKOFF,
)
def test_the_failure_names_the_hop_that_died(scene: Scene) -> None:
    jump = scene.link_to(scene.site.sshd())
    scene.begins('jump = "jump"', tables=(host_table("jump", jump.port, *QUICK_HOST),))
    jump.hold()
    failure = scene.says_so()
    assert failure.hop.endswith(f":{jump.port}")
    jump.go()
    scene.recovers()


@proves(
    "the last hop of a chain dies",
    says=("backoff", "peer_dead"),
    noticed=UNANSWERED_KEEPALIVES,
    flows=BACKOFF,
)
def test_a_dead_server_behind_a_live_jump_host_is_named(scene: Scene) -> None:
    jump = scene.link_to(scene.site.sshd())
    scene.begins('jump = "jump"', tables=(host_table("jump", jump.port, *QUICK_HOST),))
    scene.link.hold()
    failure = scene.says_so()
    assert failure.hop.endswith(f":{scene.link.port}")
    scene.link.go()
    scene.recovers()
