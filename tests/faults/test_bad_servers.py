"""Servers that hang, stay silent or talk nonsense: no attempt waits for them for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from tests.e2e.site import USER
from tests.faults.proof import BACKOFF, CONNECTING, UNANSWERED_KEEPALIVES, proves
from tests.faults.servers import (
    Handler,
    drip_a_banner,
    hang_up,
    serving,
    stay_silent,
    talk_garbage,
    turn_to_garbage,
)
from tests.requirements import require

if TYPE_CHECKING:
    from tests.faults.scene import Scene

DROPS = 5
LONG = 600
"""Seconds that a login hangs: longer than any test."""


def play(scene: Scene, handler: Handler, words: str = "") -> None:
    """Let another server be at the tunnel's address until a failure says these words."""
    scene.begins()
    scene.link.lead_to(scene.background.enter(serving(handler)))
    scene.link.reset()
    scene.says_so(words)
    scene.link.lead_to(scene.server.port)
    scene.recovers()


@proves(
    "the server accepts and stays silent",
    says=("backoff", "timeout"),
    noticed=CONNECTING,
    flows=CONNECTING + BACKOFF,
)
def test_a_silent_server_is_given_up_in_time(scene: Scene) -> None:
    play(scene, stay_silent)


@proves(
    "the server's banner comes byte by byte, without an end",
    says=("backoff", "timeout"),
    noticed=CONNECTING,
    flows=CONNECTING + BACKOFF,
)
def test_a_banner_without_an_end_is_given_up_in_time(scene: Scene) -> None:
    play(scene, drip_a_banner)


@proves("something else than SSH answers", says=("backoff", "protocol"), flows=BACKOFF)
def test_garbage_is_reported_as_not_ssh(scene: Scene) -> None:
    play(scene, talk_garbage)


@proves("SSH turns into garbage", says=("backoff", "protocol"), flows=BACKOFF)
def test_garbage_after_a_banner_is_reported_as_not_ssh(scene: Scene) -> None:
    play(scene, turn_to_garbage)


@proves("the server accepts and hangs up", says=("backoff", "lost"), flows=BACKOFF)
def test_a_server_that_hangs_up_is_tried_again(scene: Scene) -> None:
    play(scene, hang_up, "before the key exchange")


@proves(
    "the login hangs",
    says=("backoff", "timeout"),
    noticed=CONNECTING,
    flows=CONNECTING + BACKOFF,
)
def test_a_login_that_hangs_is_given_up_in_time(scene: Scene) -> None:
    hanging = scene.site.sshd(
        known=False,
        HostKey=str(scene.server.host_key),
        AuthorizedKeysFile="none",
        AuthorizedKeysCommand=f"{require('sleep')} {LONG}",
        AuthorizedKeysCommandUser=USER,
    )
    scene.begins()
    scene.link.lead_to(hanging.port)
    scene.link.reset()
    scene.says_so("login")
    scene.link.lead_to(scene.server.port)
    scene.recovers()


@proves(
    "the server's process for the connection is stopped",
    says=("backoff", "peer_dead"),
    noticed=UNANSWERED_KEEPALIVES,
    flows=BACKOFF,
)
def test_a_stopped_session_of_the_server_is_replaced(scene: Scene) -> None:
    scene.begins()
    sessions = [psutil.Process(pid) for pid in scene.server.sessions()]
    for session in sessions:
        session.suspend()
    scene.says_so()
    scene.is_up()  # on a new connection, while the old one still hangs
    for session in sessions:
        session.resume()
    scene.recovers()


@proves(
    "the whole server is stopped, and resumes",
    says=("backoff", "timeout"),
    noticed=UNANSWERED_KEEPALIVES + CONNECTING,
    flows=CONNECTING + BACKOFF,
)
def test_a_stopped_server_is_used_again_when_it_resumes(scene: Scene) -> None:
    scene.begins()
    scene.server.freeze()
    scene.says_so()
    assert ("backoff", "peer_dead") in scene.states()
    scene.server.thaw()
    scene.recovers()


@proves(
    "the server drops every connection soon after it is up",
    says=("backoff", "lost"),
    flows=BACKOFF,
)
def test_a_server_that_keeps_dropping_is_backed_off_from(scene: Scene) -> None:
    scene.begins("gate_time = 600")
    for drops in range(DROPS):
        scene.link.reset()
        scene.came_up_again(times=drops + 1)
    scene.says_so()
    assert scene.failed_in_a_row() >= DROPS  # each was waited for longer, up to the maximum
    scene.recovers()
