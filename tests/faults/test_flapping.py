"""A server that lets everybody in and drops them soon after: it must not be hammered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.e2e.services import echo
from tests.e2e.site import tunnel_table
from tests.e2e.waiting import wait_until
from tests.faults.proof import MARGIN, Bound, proves
from tests.faults.scene import TUNNEL
from tests.faults.witness import Witness

if TYPE_CHECKING:
    from tests.faults.scene import Scene

GATE_TIME = 10.0
"""Seconds: longer than a busy machine takes to go on after a wait."""

FIRST_WAIT = 0.5
LOSSES = 4
WAITS = [FIRST_WAIT * 2**lost for lost in range(LOSSES)]
"""Seconds: without jitter, so that each is twice the one before it."""


@proves(
    "a server that accepts and drops",
    says=("backoff", "lost"),
    flows=Bound("the wait of `backoff`, longer after each drop within `gate_time`", WAITS[-1]),
)
def test_a_server_that_accepts_and_drops_is_backed_off_from(scene: Scene) -> None:
    local = f'local = "{scene.port}:{scene.site.service(echo)}"'
    backoff = f"backoff = {{ initial = {FIRST_WAIT}, factor = 2, max = 60, jitter = 0 }}"
    table = tunnel_table(
        TUNNEL, scene.link.port, local, backoff, f"gate_time = {GATE_TIME:g}", "hold_timeout = 0"
    )
    scene.starts(scene.site.program(table))
    with Witness(scene.program.socket) as witness:

        def was(state: str, attempt: int, since: int = 0) -> None:
            """Wait until the tunnel was in the state with this many failed attempts."""
            wait_until(
                lambda: any((t.state, t.attempt) == (state, attempt) for t in witness.seen[since:]),
                within=GATE_TIME + MARGIN,
                complaint=lambda: f"{state} {attempt}: {scene.states()}",
            )

        for lost in range(1, LOSSES + 1):
            scene.link.reset()
            was("backoff", lost)
            was("up", lost)
        scene.says_so()
        assert logged_delays(scene) == WAITS

        was("up", 0)
        seen = len(witness.seen)
        scene.link.reset()
        was("up", 0, seen)
        assert logged_delays(scene) == [*WAITS, WAITS[0]], "the failures before it are forgotten"
    scene.recovers()


def logged_delays(scene: Scene) -> list[float]:
    """Return the retry delays in the log, in seconds."""
    told = re.findall(r"trying again, next in ([\d.]+) s", scene.program.log())
    return [float(wait) for wait in told]
