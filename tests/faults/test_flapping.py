"""A server that accepts logins and soon drops the connections: the delays must grow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.e2e.sandbox import tunnel_table
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tests.faults.expectation import MARGIN, Bound, expects
from tests.faults.scenario import TUNNEL
from tests.faults.status_watcher import StatusWatcher

if TYPE_CHECKING:
    from tests.faults.scenario import Scenario

GATE_TIME = 10.0
"""Seconds; longer than a busy machine takes to continue after a delay."""

FIRST_DELAY = 0.5
LOSSES = 4
DELAYS = [FIRST_DELAY * 2**lost for lost in range(LOSSES)]
"""Delays in seconds, without jitter: each is twice the previous one."""


@expects(
    "a server that accepts and drops",
    status=("backoff", "lost"),
    recovered_within=Bound(
        "the delay of `backoff`, longer after each drop within `gate_time`", DELAYS[-1]
    ),
)
def test_a_server_that_accepts_and_drops_is_backed_off_from(scenario: Scenario) -> None:
    local = f'local = "{scenario.port}:{scenario.sandbox.service(echo)}"'
    backoff = f"backoff = {{ initial = {FIRST_DELAY}, factor = 2, max = 60, jitter = 0 }}"
    table = tunnel_table(
        TUNNEL, scenario.link.port, local, backoff, f"gate_time = {GATE_TIME:g}", "hold_timeout = 0"
    )
    scenario.start_program(scenario.sandbox.program(table))
    with StatusWatcher(scenario.program.socket) as watcher:

        def wait_for_state(state: str, attempt: int, since: int = 0) -> None:
            """Wait until the tunnel has been in the state after this many failed attempts."""
            wait_until(
                lambda: any(
                    (t.state, t.attempt) == (state, attempt) for t in watcher.snapshots[since:]
                ),
                within=GATE_TIME + MARGIN,
                message=lambda: f"{state} {attempt}: {scenario.states()}",
            )

        for lost in range(1, LOSSES + 1):
            scenario.link.reset()
            wait_for_state("backoff", lost)
            wait_for_state("up", lost)
        scenario.wait_for_expected_status()
        assert logged_delays(scenario) == DELAYS

        wait_for_state("up", 0)
        count = len(watcher.snapshots)
        scenario.link.reset()
        wait_for_state("up", 0, count)
        assert logged_delays(scenario) == [*DELAYS, DELAYS[0]], (
            "earlier failures must not count after gate_time"
        )
    scenario.check_recovery()


def logged_delays(scenario: Scenario) -> list[float]:
    """Return the retry delays in the log, in seconds."""
    delays = re.findall(r"trying again, next in ([\d.]+) s", scenario.program.log())
    return [float(delay) for delay in delays]
