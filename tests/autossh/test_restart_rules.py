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
BETTER = Rules(gate_time=30, poll=600)


def run_once(
    rules: Rules, status: int, lasted: float = 1, *, person: bool = False
) -> ProgramExit | NextRun:
    return RunHistory(rules).with_start(100).on_exit(status, 100 + lasted, needs_user=person)


def run_twice(rules: Rules, status: int) -> ProgramExit | NextRun:
    return RunHistory(rules).with_start(0).with_start(100).on_exit(status, 101)


@pytest.mark.parametrize("status", [0, 1, 2, 3, EXIT_STATUS_LOST])
def test_a_first_run_that_ends_within_the_gate_is_the_last_one(status: int) -> None:
    ending = run_once(STRICT, status)

    assert isinstance(ending, ProgramExit)
    assert ending.code == 1
    assert ending.message == f"ssh exited prematurely with status {status}; autossh exiting"


@pytest.mark.parametrize(
    ("status", "expected"),
    [(0, 0), (1, None), (2, None), (3, 1), (127, 1), (EXIT_STATUS_LOST, None)],
)
def test_a_later_run_ends_the_program_by_its_status(status: int, expected: int | None) -> None:
    verdict = run_twice(STRICT, status)

    assert (verdict.code if isinstance(verdict, ProgramExit) else None) == expected


def test_without_a_gate_the_first_run_is_like_any() -> None:
    rules = Rules(gate_time=0, poll=600, strict=True)

    assert isinstance(run_once(rules, 1), NextRun)
    assert run_once(rules, 0) == ProgramExit(0, "ssh exited with status 0; autossh exiting")


def test_beyond_the_gate_a_first_run_s_status_1_is_the_end() -> None:
    verdict = run_once(STRICT, 1, lasted=31)

    assert isinstance(verdict, ProgramExit)
    assert verdict.code == 1


def test_a_first_failure_of_the_network_is_tried_again_and_one_for_a_person_is_not() -> None:
    assert isinstance(run_once(BETTER, EXIT_STATUS_LOST), NextRun)
    assert isinstance(run_once(BETTER, EXIT_STATUS_LOST, person=True), ProgramExit)


def test_a_first_command_that_succeeds_at_once_has_succeeded() -> None:
    assert run_once(BETTER, 0) == ProgramExit(0, "ssh exited with status 0; autossh exiting")


def test_the_last_start_that_is_allowed_ends_the_program() -> None:
    rules = Rules(gate_time=0, poll=600, max_starts=2)
    course = RunHistory(rules).with_start(0)

    assert isinstance(course.on_exit(EXIT_STATUS_LOST, 1), NextRun)
    assert course.with_start(1).on_exit(EXIT_STATUS_LOST, 2) == ProgramExit(
        0, "max start count reached; exiting"
    )
    assert not RunHistory(Rules(gate_time=0, poll=600, max_starts=0)).may_start


def test_the_waits_between_short_runs_are_those_of_autossh() -> None:
    waits = [grace_time(short, 600) for short in range(25)]

    assert waits[:6] == [0, 0, 0, 0, 0, 0]
    assert waits[6:] == [
        *(2, 8, 18, 32, 50, 72, 98, 128, 162, 200, 241, 288, 338, 392, 450, 512, 578, 600, 600)
    ]


def test_a_run_that_is_long_enough_makes_the_waits_short_again() -> None:
    course = RunHistory(Rules(gate_time=0, poll=600))
    now = 0.0
    for _ in range(9):
        course = course.with_start(now)
        now += 1
    short = course.on_exit(EXIT_STATUS_LOST, now)
    long = course.on_exit(EXIT_STATUS_LOST, now + 60)

    assert isinstance(short, NextRun)
    assert short.wait > 0
    assert isinstance(long, NextRun)
    assert long.wait == 0
