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


class FakeTunnel:
    """A tunnel's hooks, each of which runs until the test lets it end."""

    def __init__(self) -> None:
        self.turns = HookQueue()
        self.started_hooks: list[HookEvent] = []

    def set_state(self, state: str, failure: Failure | None = None) -> FakeTunnel:
        self.turns = on_state(self.turns, state, failure)
        return self._go_on()

    def end_hook(self) -> FakeTunnel:
        self.turns = on_finished(self.turns)
        return self._go_on()

    def _go_on(self) -> FakeTunnel:
        self.turns, hook = next_due(self.turns)
        self.started_hooks += [hook] if hook else []
        return self

    @property
    def started_kinds(self) -> list[HookKind]:
        return [hook.kind for hook in self.started_hooks]


def test_a_tunnel_that_never_came_up_runs_no_down_hook() -> None:
    assert (
        FakeTunnel()
        .set_state("connecting")
        .set_state("backoff", LOST)
        .set_state("stopped")
        .started_hooks
        == []
    )


def test_the_hooks_for_up_and_down_run_in_order() -> None:
    tunnel = (
        FakeTunnel().set_state("connecting").set_state("up").end_hook().set_state("backoff", LOST)
    )

    assert tunnel.started_hooks == [HookEvent("up", "up"), HookEvent("down", "backoff", LOST)]


def test_a_degraded_tunnel_runs_the_down_hook() -> None:
    tunnel = (
        FakeTunnel()
        .set_state("up")
        .end_hook()
        .set_state("degraded", BUSY)
        .end_hook()
        .set_state("up")
    )

    assert tunnel.started_hooks == [
        HookEvent("up", "up"),
        HookEvent("down", "degraded", BUSY),
        HookEvent("up", "up"),
    ]


def test_on_down_waits_for_on_up_and_receives_the_first_failure() -> None:
    tunnel = (
        FakeTunnel()
        .set_state("up")
        .set_state("backoff", LOST)
        .set_state("connecting")
        .set_state("degraded", BUSY)
    )
    assert tunnel.started_kinds == ["up"]

    tunnel.end_hook()

    assert tunnel.started_hooks[1:] == [HookEvent("down", "backoff", LOST)]


def test_a_state_that_ends_before_its_hook_starts_runs_no_hook() -> None:
    tunnel = (
        FakeTunnel()
        .set_state("up")
        .set_state("backoff", LOST)
        .set_state("up")
        .set_state("backoff", LOST)
        .set_state("up")
    )

    assert tunnel.end_hook().started_kinds == ["up"]


def test_a_change_between_down_states_runs_the_hook_once() -> None:
    tunnel = (
        FakeTunnel()
        .set_state("up")
        .end_hook()
        .set_state("degraded", BUSY)
        .end_hook()
        .set_state("backoff", LOST)
    )

    assert tunnel.set_state("blocked", LOST).set_state("stopping").set_state(
        "stopped"
    ).started_kinds == [
        "up",
        "down",
    ]


@given(st.lists(st.sampled_from(["up", "degraded", "backoff", "connecting", "END"])))
def test_hooks_alternate_and_the_last_one_matches_the_state(states: list[str]) -> None:
    tunnel = FakeTunnel()
    for state in states:
        if state == "END":
            tunnel.end_hook()
        else:
            tunnel.set_state(state)
    tunnel.end_hook().end_hook()

    assert tunnel.started_kinds == [*("up", "down") * len(states)][: len(tunnel.started_kinds)]
    last = ([state for state in states if state != "END"] or ["stopped"])[-1]
    assert (tunnel.started_kinds[-1:] == ["up"]) == (last == "up")


def test_the_environment_of_a_hook_contains_the_failure() -> None:
    assert variables("db", HookEvent("down", "backoff", LOST)) == {
        "TUNNELKEEPER_TUNNEL": "db",
        "TUNNELKEEPER_EVENT": "down",
        "TUNNELKEEPER_STATE": "backoff",
        "TUNNELKEEPER_CAUSE": "lost",
        "TUNNELKEEPER_MESSAGE": "reset by $(peer); rm",
    }
    assert variables("db", HookEvent("up", "up"))["TUNNELKEEPER_CAUSE"] == ""
