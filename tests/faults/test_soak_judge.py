"""The judge of a soak run detects violations, driven by a simulated clock."""

from __future__ import annotations

import pytest

from tests.faults.soak.judge import MAX_STATUS_GAP, Bounds, ConnectionId, Exemption, Judge

BOUNDS = Bounds(false_up=10.0, undisturbed=20.0, control=5.0)
FIRST: ConnectionId = ("then", 0)
SECOND: ConnectionId = ("later", 1)


class Simulation:
    """A judge of one endpoint, "e" of the tunnel "t", and its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.judge = Judge({"e": "t"}, BOUNDS, self.now)

    def run(
        self,
        seconds: int,
        state: str = "up",
        connection: ConnectionId = FIRST,
        *,
        has_data: bool = False,
    ) -> str:
        """Let time pass with one status sample a second; return the first violation."""
        for _ in range(seconds):
            self.now += 1.0
            self.judge.record_answer(self.now, self.now)
            self.judge.record_status("t", state, connection, self.now)
            if has_data:
                self.judge.record_data("e", self.now)
            if violation := self.judge.violation(self.now):
                return violation
        return ""


@pytest.fixture
def simulation() -> Simulation:
    return Simulation()


def test_a_tunnel_that_is_up_and_carries_data_violates_nothing(simulation: Simulation) -> None:
    assert simulation.run(100, has_data=True) == ""
    assert simulation.judge.is_working("e", since=50.0)
    assert simulation.judge.longest_false_up <= 1.0


def test_a_tunnel_reported_up_without_data_is_a_violation(simulation: Simulation) -> None:
    simulation.run(5, has_data=True)

    assert simulation.run(10) == ""
    assert simulation.run(1) == "t is reported up, but e has carried no data for 11.0 s"
    assert simulation.judge.longest_false_up == 11.0


def test_a_tunnel_not_reported_up_is_no_false_up(simulation: Simulation) -> None:
    simulation.judge.reset(0.0, Exemption(frozenset("e")))

    assert simulation.run(100, "backoff") == ""
    assert not simulation.judge.is_working("e", since=0.0)


def test_each_connection_has_its_own_time_limit(simulation: Simulation) -> None:
    simulation.run(8)

    assert simulation.run(8, connection=SECOND) == ""


def test_a_time_without_status_samples_is_not_counted(simulation: Simulation) -> None:
    simulation.run(8)
    simulation.now += MAX_STATUS_GAP
    simulation.judge.reset(simulation.now)

    assert simulation.run(8) == ""


def test_a_false_up_is_exempted_while_new_clients_cannot_be_served(simulation: Simulation) -> None:
    simulation.judge.reset(0.0, Exemption(frozenset("e"), false_up=True))

    assert simulation.run(100) == ""
    assert simulation.judge.longest_false_up == 0.0


def test_an_endpoint_that_no_fault_affects_must_carry_data(simulation: Simulation) -> None:
    simulation.judge.reset(0.0, Exemption(frozenset({"another"})))

    assert simulation.run(20, "backoff") == ""
    assert (
        simulation.run(1, "backoff") == "e has carried no data for 21.0 s, and no fault affects it"
    )


def test_an_unanswered_control_socket_is_a_violation(simulation: Simulation) -> None:
    simulation.run(3, has_data=True)

    assert simulation.judge.violation(8.0) == ""
    assert simulation.judge.violation(8.1) == "the control socket has not answered for 5.1 s"


def test_a_stopped_supervisor_need_not_answer(simulation: Simulation) -> None:
    simulation.judge.reset(0.0, Exemption(frozenset("e"), no_answers=True))

    assert simulation.judge.violation(100.0) == ""
    simulation.judge.record_answer(0.0, 100.0)
    assert simulation.judge.slowest_answer == 0.0


def test_the_slowest_answer_is_recorded(simulation: Simulation) -> None:
    simulation.judge.record_answer(1.0, 3.5)
    simulation.judge.record_answer(4.0, 4.1)

    assert simulation.judge.slowest_answer == 2.5


def test_exemptions_of_two_faults_are_combined() -> None:
    both = Exemption(frozenset("a"), false_up=True) | Exemption(frozenset("b"), no_answers=True)

    assert both == Exemption(frozenset("ab"), false_up=True, no_answers=True)
