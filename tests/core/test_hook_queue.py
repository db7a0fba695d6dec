"""Which hook runs, when, and its environment."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.hook_queue import (
    HookEvent,
    HookKind,
    HookQueue,
    next_due,
    on_finished,
    on_state,
    variables,
)

LOST = Failure(Cause.LOST, "reset by $(peer); rm")
BUSY = Failure(Cause.REMOTE_PORT_BUSY, "2222 is taken")


class Story:
    """A tunnel's hooks, each of which runs until the test lets it end."""

    def __init__(self) -> None:
        self.turns = HookQueue()
        self.begun: list[HookEvent] = []

    def sees(self, state: str, failure: Failure | None = None) -> Story:
        self.turns = on_state(self.turns, state, failure)
        return self._go_on()

    def ends(self) -> Story:
        self.turns = on_finished(self.turns)
        return self._go_on()

    def _go_on(self) -> Story:
        self.turns, occasion = next_due(self.turns)
        self.begun += [occasion] if occasion else []
        return self

    @property
    def moments(self) -> list[HookKind]:
        return [occasion.kind for occasion in self.begun]


def test_a_tunnel_that_never_came_up_runs_no_down_hook() -> None:
    assert Story().sees("connecting").sees("backoff", LOST).sees("stopped").begun == []


def test_the_hooks_for_up_and_down_run_in_order() -> None:
    story = Story().sees("connecting").sees("up").ends().sees("backoff", LOST)

    assert story.begun == [HookEvent("up", "up"), HookEvent("down", "backoff", LOST)]


def test_degraded_is_not_up() -> None:
    story = Story().sees("up").ends().sees("degraded", BUSY).ends().sees("up")

    assert story.begun == [
        HookEvent("up", "up"),
        HookEvent("down", "degraded", BUSY),
        HookEvent("up", "up"),
    ]


def test_on_down_waits_for_on_up_and_tells_the_first_reason() -> None:
    story = Story().sees("up").sees("backoff", LOST).sees("connecting").sees("degraded", BUSY)
    assert story.moments == ["up"]

    story.ends()

    assert story.begun[1:] == [HookEvent("down", "backoff", LOST)]


def test_a_state_that_ends_before_its_hook_starts_runs_no_hook() -> None:
    story = Story().sees("up").sees("backoff", LOST).sees("up").sees("backoff", LOST).sees("up")

    assert story.ends().moments == ["up"]


def test_a_change_between_down_states_runs_the_hook_once() -> None:
    story = Story().sees("up").ends().sees("degraded", BUSY).ends().sees("backoff", LOST)

    assert story.sees("blocked", LOST).sees("stopping").sees("stopped").moments == ["up", "down"]


@given(st.lists(st.sampled_from(["up", "degraded", "backoff", "connecting", "END"])))
def test_hooks_alternate_and_the_last_one_matches_the_state(states: list[str]) -> None:
    story = Story()
    for state in states:
        if state == "END":
            story.ends()
        else:
            story.sees(state)
    story.ends().ends()

    assert story.moments == [*("up", "down") * len(states)][: len(story.moments)]
    last = ([state for state in states if state != "END"] or ["stopped"])[-1]
    assert (story.moments[-1:] == ["up"]) == (last == "up")


def test_a_hook_finds_the_failure_in_its_environment() -> None:
    assert variables("db", HookEvent("down", "backoff", LOST)) == {
        "TUNNELKEEPER_TUNNEL": "db",
        "TUNNELKEEPER_EVENT": "down",
        "TUNNELKEEPER_STATE": "backoff",
        "TUNNELKEEPER_CAUSE": "lost",
        "TUNNELKEEPER_MESSAGE": "reset by $(peer); rm",
    }
    assert variables("db", HookEvent("up", "up"))["TUNNELKEEPER_CAUSE"] == ""
