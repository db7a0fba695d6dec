from __future__ import annotations

import pytest

from tunnelkeeper.autossh.restart_rules import (
    EXIT_STATUS_LOST,
    NextRun,
    ProgramExit,
    Rules,
    RunHistory,
    grace_time,
)

STRICT = Rules(gate_time=30, poll=600, strict=True)
DEFAULT = Rules(gate_time=30, poll=600)


def run_once(
    rules: Rules, status: int, lasted: float = 1, *, needs_user: bool = False
) -> ProgramExit | NextRun:
    return RunHistory(rules).with_start(100).on_exit(status, 100 + lasted, needs_user=needs_user)


def run_twice(rules: Rules, status: int) -> ProgramExit | NextRun:
    return RunHistory(rules).with_start(0).with_start(100).on_exit(status, 101)


@pytest.mark.parametrize("status", [0, 1, 2, 3, EXIT_STATUS_LOST])
def test_a_first_run_that_ends_within_the_gate_time_ends_the_program(status: int) -> None:
    result = run_once(STRICT, status)

    assert isinstance(result, ProgramExit)
    assert result.code == 1
    assert result.message == f"ssh exited prematurely with status {status}; autossh exiting"
    assert result.is_error


@pytest.mark.parametrize("status", [0, 3, 127])
def test_a_later_exit_is_not_logged_as_an_error(status: int) -> None:
    result = run_twice(STRICT, status)

    assert isinstance(result, ProgramExit)
    assert not result.is_error


@pytest.mark.parametrize(
    ("gate", "starts", "lasted", "expected"),
    [(30, 1, 30, True), (30, 1, 31, False), (30, 2, 1, False), (0, 1, 0, False)],
)
def test_only_a_short_first_run_is_gated(
    gate: float, starts: int, lasted: float, expected: bool
) -> None:
    history = RunHistory(Rules(gate_time=gate, poll=600))
    for _ in range(starts):
        history = history.with_start(100)

    assert history.is_gated(100 + lasted) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [(0, 0), (1, None), (2, None), (3, 1), (127, 1), (EXIT_STATUS_LOST, None)],
)
def test_the_exit_status_of_a_later_run_decides_if_the_program_ends(
    status: int, expected: int | None
) -> None:
    result = run_twice(STRICT, status)

    assert (result.code if isinstance(result, ProgramExit) else None) == expected


def test_without_a_gate_time_the_first_run_may_fail() -> None:
    rules = Rules(gate_time=0, poll=600, strict=True)

    assert isinstance(run_once(rules, 1), NextRun)
    assert run_once(rules, 0) == ProgramExit(0, "ssh exited with status 0; autossh exiting")


def test_status_1_of_a_first_run_beyond_the_gate_time_ends_the_program() -> None:
    result = run_once(STRICT, 1, lasted=31)

    assert isinstance(result, ProgramExit)
    assert result.code == 1


def test_a_first_failure_is_retried_unless_it_needs_the_user() -> None:
    assert isinstance(run_once(DEFAULT, EXIT_STATUS_LOST), NextRun)
    assert isinstance(run_once(DEFAULT, EXIT_STATUS_LOST, needs_user=True), ProgramExit)


def test_a_first_run_with_status_0_ends_the_program_with_success() -> None:
    assert run_once(DEFAULT, 0) == ProgramExit(0, "ssh exited with status 0; autossh exiting")


def test_the_program_ends_after_the_maximum_number_of_starts() -> None:
    rules = Rules(gate_time=0, poll=600, max_starts=2)
    history = RunHistory(rules).with_start(0)

    assert isinstance(history.on_exit(EXIT_STATUS_LOST, 1), NextRun)
    assert history.with_start(1).on_exit(EXIT_STATUS_LOST, 2) == ProgramExit(
        0, "max start count reached; exiting"
    )
    assert not RunHistory(Rules(gate_time=0, poll=600, max_starts=0)).may_start


def test_the_delays_between_short_runs_equal_those_of_autossh() -> None:
    delays = [grace_time(short, 600) for short in range(25)]

    assert delays[:6] == [0, 0, 0, 0, 0, 0]
    assert delays[6:] == [
        *(2, 8, 18, 32, 50, 72, 98, 128, 162, 200, 241, 288, 338, 392, 450, 512, 578, 600, 600)
    ]


def test_a_long_run_resets_the_delay() -> None:
    history = RunHistory(Rules(gate_time=0, poll=600))
    now = 0.0
    for _ in range(9):
        history = history.with_start(now)
        now += 1
    short = history.on_exit(EXIT_STATUS_LOST, now)
    long = history.on_exit(EXIT_STATUS_LOST, now + 60)

    assert isinstance(short, NextRun)
    assert short.wait > 0
    assert isinstance(long, NextRun)
    assert long.wait == 0
