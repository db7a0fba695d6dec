"""Detection of a suspended machine or a stopped process from two clock readings."""

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


def test_a_check_on_time_reports_no_resume() -> None:
    assert detect_resume(BEFORE, later(CHECK_INTERVAL)) is None


def test_a_jump_of_the_boottime_clock_is_a_suspend() -> None:
    assert detect_resume(BEFORE, later(CHECK_INTERVAL, asleep=3600)) == Resume(suspended=3600)


def test_a_very_late_check_means_that_the_process_was_stopped() -> None:
    assert detect_resume(BEFORE, later(CHECK_INTERVAL + 60)) == Resume(stopped=60)
    assert detect_resume(NO_BOOTTIME, ClockReading(1000 + CHECK_INTERVAL + 60, None)) == Resume(
        stopped=60
    )


def test_a_suspend_is_reported_even_if_the_check_was_late_too() -> None:
    assert detect_resume(BEFORE, later(60, asleep=3600)) == Resume(suspended=3600)


@given(late=st.floats(0, MIN_STOPPED - 0.01), asleep=st.floats(0, MIN_SUSPENDED - 0.01))
def test_small_delays_on_a_loaded_machine_report_no_resume(late: float, asleep: float) -> None:
    assert detect_resume(BEFORE, later(CHECK_INTERVAL + late, asleep)) is None


@pytest.mark.parametrize("has_boottime", [True, False])
@given(passed=st.floats(0, 1e6), asleep=st.floats(0, 1e6))
def test_every_long_gap_reports_a_resume(has_boottime: bool, passed: float, asleep: float) -> None:
    before = BEFORE if has_boottime else NO_BOOTTIME
    after = later(passed, asleep) if has_boottime else ClockReading(1000 + passed, None)
    resume = detect_resume(before, after)

    gap = passed - CHECK_INTERVAL + (asleep if has_boottime else 0)
    if gap > MIN_SUSPENDED + MIN_STOPPED:
        assert resume is not None
    if passed <= CHECK_INTERVAL and not has_boottime:
        assert resume is None
