from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.presentation.formatting import (
    format_duration,
    format_size,
    time_since,
    time_until,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (0.9, "0s"),
        (4, "4s"),
        (59.9, "59s"),
        (60, "1m"),
        (192, "3m 12s"),
        (3600, "1h"),
        (7500, "2h 5m"),
        (7501, "2h 5m"),
        (86399, "23h 59m"),
        (86400, "1d"),
        (3 * 86400 + 4 * 3600, "3d 4h"),
        (400 * 86400, "400d"),
    ],
)
def test_a_duration_shows_its_two_largest_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1234, "1.2 kB"),
        (9949, "9.9 kB"),
        (9960, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (15_000_000, "15 MB"),
        (3_400_000_000, "3.4 GB"),
        (5 * 10**18, "5000 PB"),
    ],
)
def test_a_size_has_two_or_three_digits_and_a_unit(count: int, text: str) -> None:
    assert format_size(count) == text


@given(st.integers(0, 10**17))
def test_no_size_is_wider_than_six_characters(count: int) -> None:
    assert len(format_size(count)) <= 6


def test_times_are_relative_to_now() -> None:
    assert time_since("2026-11-22T11:58:00Z", NOON) == "2m"
    assert time_since("2026-11-22T11:58:00", NOON) == "2m"
    assert time_until("2026-11-22T13:00:04+01:00", NOON) == "4s"
    assert time_until("2026-11-22T11:00:00Z", NOON + timedelta(days=1)) == "0s"
