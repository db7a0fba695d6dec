"""Recognition of a server that closes connections without channels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.unused_timeout import SHORTEST, SMALLEST_TOLERANCE, UnusedTimeout

AGES = st.none() | st.floats(0, 1e6)


def after(*ends: float | None) -> UnusedTimeout:
    known = UnusedTimeout()
    for unused in ends:
        known = known.after_end(unused)
    return known


def test_two_ends_after_the_same_time_without_a_channel_show_the_timeout() -> None:
    assert after(300.4, 301.2).seconds == 300.4
    assert after(300.4, 301.2).use_interval == 150.2


def test_one_end_or_ends_at_different_times_show_nothing() -> None:
    assert after(300.0).seconds is None
    assert after(300.0, 340.0).seconds is None
    assert after(300.0, 340.0, 300.0).seconds is None


def test_an_end_with_a_channel_or_for_another_reason_interrupts_the_pattern() -> None:
    assert after(300.0, None, 300.0).seconds is None


def test_a_connection_that_ends_at_once_shows_nothing() -> None:
    assert after(1.0, 1.0, 1.0).seconds is None


def test_a_known_timeout_is_kept_until_another_one_shows() -> None:
    assert after(300.0, 300.0, None, 20.0).seconds == 300.0
    assert after(300.0, 300.0, 60.0, 60.0).seconds == 60.0


@given(st.lists(AGES))
def test_a_timeout_is_never_longer_than_what_a_connection_was_unused(
    ends: list[float | None],
) -> None:
    seconds = after(*ends).seconds

    assert seconds is None or (seconds >= SHORTEST and seconds in ends)


@given(st.floats(SHORTEST, 1e6), st.floats(-SMALLEST_TOLERANCE, SMALLEST_TOLERANCE))
def test_small_differences_do_not_matter(age: float, difference: float) -> None:
    again = max(SHORTEST, age + difference)

    assert after(age, again).seconds == min(age, again)
