"""Two looks at the clocks: whether the machine slept or the process was stopped between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.waking import (
    LOOK_EVERY,
    SLEPT_AT_LEAST,
    STOPPED_AT_LEAST,
    Look,
    Wake,
    wake_between,
)

BEFORE = Look(monotonic=1000.0, boottime=5000.0)
NO_BOOTTIME = Look(monotonic=1000.0, boottime=None)


def later(monotonic: float, asleep: float = 0.0) -> Look:
    assert BEFORE.boottime is not None
    return Look(BEFORE.monotonic + monotonic, BEFORE.boottime + monotonic + asleep)


def test_a_look_in_time_is_no_wake() -> None:
    assert wake_between(BEFORE, later(LOOK_EVERY)) is None


def test_a_jump_of_the_clock_that_counts_sleep_is_a_wake() -> None:
    assert wake_between(BEFORE, later(LOOK_EVERY, asleep=3600)) == Wake(asleep=3600)


def test_a_look_that_is_far_too_late_means_that_the_process_was_stopped() -> None:
    assert wake_between(BEFORE, later(LOOK_EVERY + 60)) == Wake(stopped=60)
    assert wake_between(NO_BOOTTIME, Look(1000 + LOOK_EVERY + 60, None)) == Wake(stopped=60)


def test_a_sleep_counts_as_such_although_the_look_was_late_too() -> None:
    assert wake_between(BEFORE, later(60, asleep=3600)) == Wake(asleep=3600)


@given(late=st.floats(0, STOPPED_AT_LEAST - 0.01), asleep=st.floats(0, SLEPT_AT_LEAST - 0.01))
def test_a_loaded_machine_is_not_a_sleeping_one(late: float, asleep: float) -> None:
    assert wake_between(BEFORE, later(LOOK_EVERY + late, asleep)) is None


@pytest.mark.parametrize("has_boottime", [True, False])
@given(passed=st.floats(0, 1e6), asleep=st.floats(0, 1e6))
def test_every_long_absence_is_a_wake(has_boottime: bool, passed: float, asleep: float) -> None:
    before = BEFORE if has_boottime else NO_BOOTTIME
    after = later(passed, asleep) if has_boottime else Look(1000 + passed, None)
    wake = wake_between(before, after)

    gone = passed - LOOK_EVERY + (asleep if has_boottime else 0)
    if gone > SLEPT_AT_LEAST + STOPPED_AT_LEAST:
        assert wake is not None
    if passed <= LOOK_EVERY and not has_boottime:
        assert wake is None
