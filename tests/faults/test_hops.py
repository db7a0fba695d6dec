"""A chain of hosts in which one dies: the failure names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.sandbox import host_table
from tests.faults.expectation import BACKOFF, UNANSWERED_KEEPALIVES, expects
from tests.faults.scenario import QUICK_HOST

if TYPE_CHECKING:
    from tests.faults.scenario import Scenario


@expects(
    "the first hop of a chain dies",
    status=("backoff", "peer_dead"),
    reported_within=UNANSWERED_KEEPALIVES,
    recovered_within=BACKOFF,
)
def test_the_failure_names_the_hop_that_died(scenario: Scenario) -> None:
    jump = scenario.link_to(scenario.sandbox.sshd())
    scenario.start_tunnel('jump = "jump"', tables=(host_table("jump", jump.port, *QUICK_HOST),))
    jump.hold()
    failure = scenario.wait_for_expected_status()
    assert failure.hop.endswith(f":{jump.port}")
    jump.resume()
    scenario.check_recovery()


@expects(
    "the last hop of a chain dies",
    status=("backoff", "peer_dead"),
    reported_within=UNANSWERED_KEEPALIVES,
    recovered_within=BACKOFF,
)
def test_the_failure_names_a_dead_server_behind_a_live_jump_host(scenario: Scenario) -> None:
    jump = scenario.link_to(scenario.sandbox.sshd())
    scenario.start_tunnel('jump = "jump"', tables=(host_table("jump", jump.port, *QUICK_HOST),))
    scenario.link.hold()
    failure = scenario.wait_for_expected_status()
    assert failure.hop.endswith(f":{scenario.link.port}")
    scenario.link.resume()
    scenario.check_recovery()
