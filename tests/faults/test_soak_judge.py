"""The judge of a soak run sees what must not be: written as a story, with times of its own."""

from __future__ import annotations

import pytest

from tests.faults.soak.judge import GAP, Bounds, Excuse, Judge, Life

BOUNDS = Bounds(lie=10.0, peace=20.0, control=5.0)
FIRST: Life = ("then", 0)
SECOND: Life = ("later", 1)


class Story:
    """The judge of one entry, "e" of the tunnel "t", and the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.judge = Judge({"e": "t"}, BOUNDS, self.now)

    def passes(
        self, seconds: int, state: str = "up", life: Life = FIRST, *, carries: bool = False
    ) -> str:
        """Seconds pass, and status is looked at in each; the first complaint."""
        for _ in range(seconds):
            self.now += 1.0
            self.judge.answered(self.now, self.now)
            self.judge.record_status("t", state, life, self.now)
            if carries:
                self.judge.carried("e", self.now)
            if complaint := self.judge.complaint(self.now):
                return complaint
        return ""


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_tunnel_that_is_up_and_carries_data_is_as_it_must_be(story: Story) -> None:
    assert story.passes(100, carries=True) == ""
    assert story.judge.is_well("e", since=50.0)
    assert story.judge.longest_lie <= 1.0


def test_a_tunnel_that_is_called_up_and_carries_nothing_is_a_lie(story: Story) -> None:
    story.passes(5, carries=True)

    assert story.passes(10) == ""
    assert story.passes(1) == "t is called up, but e has carried nothing for 11.0 s"
    assert story.judge.longest_lie == 11.0


def test_a_tunnel_that_says_that_it_is_away_does_not_lie(story: Story) -> None:
    story.judge.begin(0.0, Excuse(frozenset("e")))

    assert story.passes(100, "backoff") == ""
    assert not story.judge.is_well("e", since=0.0)


def test_a_new_connection_has_its_own_time_to_carry_data(story: Story) -> None:
    story.passes(8)

    assert story.passes(8, life=SECOND) == ""


def test_nothing_is_reported_of_a_time_without_samples(story: Story) -> None:
    story.passes(8)
    story.now += GAP
    story.judge.begin(story.now)

    assert story.passes(8) == ""


def test_a_lie_is_excused_where_new_clients_cannot_be_served(story: Story) -> None:
    story.judge.begin(0.0, Excuse(frozenset("e"), lies=True))

    assert story.passes(100) == ""
    assert story.judge.longest_lie == 0.0


def test_who_is_not_touched_by_a_fault_has_to_carry_data(story: Story) -> None:
    story.judge.begin(0.0, Excuse(frozenset({"another"})))

    assert story.passes(20, "backoff") == ""
    assert story.passes(1, "backoff") == "e has carried nothing for 21.0 s, and no fault touches it"


def test_a_control_socket_that_does_not_answer_is_seen(story: Story) -> None:
    story.passes(3, carries=True)

    assert story.judge.complaint(8.0) == ""
    assert story.judge.complaint(8.1) == "the control socket has not answered for 5.1 s"


def test_a_supervisor_that_is_away_need_not_answer(story: Story) -> None:
    story.judge.begin(0.0, Excuse(frozenset("e"), silence=True))

    assert story.judge.complaint(100.0) == ""
    story.judge.answered(0.0, 100.0)
    assert story.judge.slowest_answer == 0.0


def test_the_slowest_answer_is_remembered(story: Story) -> None:
    story.judge.answered(1.0, 3.5)
    story.judge.answered(4.0, 4.1)

    assert story.judge.slowest_answer == 2.5


def test_excuses_of_two_faults_add_up() -> None:
    both = Excuse(frozenset("a"), lies=True) | Excuse(frozenset("b"), silence=True)

    assert both == Excuse(frozenset("ab"), lies=True, silence=True)
