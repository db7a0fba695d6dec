"""Two looks at the clocks: whether the machine slept or the process was stopped between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.suspend_detection import (
    CHECK_INTERVAL,
    MIN_STOPPED,
    MIN_SUSPENDED,
    ClockReading,
    Resume,
    detect_resume,
)

BEFORE = ClockReading(monotonic=1000.0, boottime=5000.0)
NO_BOOTTIME = ClockReading(monotonic=1000.0, boottime=None)


def later(monotonic: float, asleep: float = 0.0) -> ClockReading:
    assert BEFORE.boottime is not None
    return ClockReading(BEFORE.monotonic + monotonic, BEFORE.boottime + monotonic + asleep)


def test_a_look_in_time_is_no_wake() -> None:
    assert detect_resume(BEFORE, later(CHECK_INTERVAL)) is None


def test_a_jump_of_the_clock_that_counts_sleep_is_a_wake() -> None:
    assert detect_resume(BEFORE, later(CHECK_INTERVAL, asleep=3600)) == Resume(suspended=3600)


def test_a_look_that_is_far_too_late_means_that_the_process_was_stopped() -> None:
    assert detect_resume(BEFORE, later(CHECK_INTERVAL + 60)) == Resume(stopped=60)
    assert detect_resume(NO_BOOTTIME, ClockReading(1000 + CHECK_INTERVAL + 60, None)) == Resume(
        stopped=60
    )


def test_a_sleep_counts_as_such_although_the_look_was_late_too() -> None:
    assert detect_resume(BEFORE, later(60, asleep=3600)) == Resume(suspended=3600)


@given(late=st.floats(0, MIN_STOPPED - 0.01), asleep=st.floats(0, MIN_SUSPENDED - 0.01))
def test_a_loaded_machine_is_not_a_sleeping_one(late: float, asleep: float) -> None:
    assert detect_resume(BEFORE, later(CHECK_INTERVAL + late, asleep)) is None


@pytest.mark.parametrize("has_boottime", [True, False])
@given(passed=st.floats(0, 1e6), asleep=st.floats(0, 1e6))
def test_every_long_absence_is_a_wake(has_boottime: bool, passed: float, asleep: float) -> None:
    before = BEFORE if has_boottime else NO_BOOTTIME
    after = later(passed, asleep) if has_boottime else ClockReading(1000 + passed, None)
    wake = detect_resume(before, after)

    gone = passed - CHECK_INTERVAL + (asleep if has_boottime else 0)
    if gone > MIN_SUSPENDED + MIN_STOPPED:
        assert wake is not None
    if passed <= CHECK_INTERVAL and not has_boottime:
        assert wake is None
