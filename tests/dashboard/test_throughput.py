"""Rates over time from byte counters, and the charts that show them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.dashboard.glyphs import ASCII, UNICODE, draw_chart, draw_sparkline
from tunnelkeeper.dashboard.throughput import HISTORY_SECONDS, NO_TRAFFIC, Meter, Rate


def make_meter(*intervals: tuple[float, float, int]) -> Meter:
    """Return a meter with incoming traffic: (begin, end, bytes) for each interval."""
    meter = Meter(0, 0)
    for begin, end, bytes_in in intervals:
        meter.record(begin, end, meter.bytes_in + bytes_in, 0)
    return meter


def test_the_rate_is_that_of_the_last_counters() -> None:
    meter = make_meter((0, 1, 500), (1, 3, 1000))

    assert meter.rate(3) == Rate(500, 0)
    assert meter.rate(4) == NO_TRAFFIC


def test_bytes_are_spread_over_the_seconds_of_their_interval() -> None:
    meter = make_meter((0.5, 2.5, 400))

    assert [rate.inbound for rate in meter.history(3, 4)] == pytest.approx([0, 100, 200, 100])


def test_overlapping_intervals_are_not_counted_twice() -> None:
    meter = make_meter((0, 0.5, 100), (0, 1, 100))

    assert meter.rate(1).inbound == pytest.approx(200)
    assert sum(rate.inbound for rate in meter.history(1, 3)) == pytest.approx(200)


def test_decreasing_counters_are_no_traffic() -> None:
    meter = make_meter((0, 1, 500))
    meter.record(1, 2, 10, 0)

    assert meter.rate(2) == NO_TRAFFIC
    assert meter.bytes_in == 10


def test_idle_intervals_and_old_samples_are_not_stored() -> None:
    meter = make_meter((0, 1, 500), (1, 2, 0), (HISTORY_SECONDS + 5, HISTORY_SECONDS + 6, 1))

    assert len(meter._samples) == 1


@given(
    st.lists(st.tuples(st.floats(0.1, 3), st.integers(0, 10**9)), max_size=30),
    st.integers(1, 300),
)
def test_a_series_contains_no_more_bytes_than_the_counters(
    steps: list[tuple[float, int]], count: int
) -> None:
    meter, now = Meter(0, 0), 0.0
    for seconds, more in steps:
        meter.record(now, now + seconds, meter.bytes_in + more, 0)
        now += seconds
    series = meter.history(now, count)

    assert len(series) == count
    assert all(rate.inbound >= 0 for rate in series)
    assert sum(rate.inbound for rate in series) <= meter.bytes_in * 1.001 + 1


def test_a_sparkline_has_a_character_for_each_value() -> None:
    values = [0.0, 1.0, 4000.0, 8000.0]

    assert draw_sparkline(values, UNICODE.bars) == " ▁▄█"
    assert draw_sparkline(values, ASCII.bars) == " .:#"


def test_a_small_value_is_drawn_small() -> None:
    assert draw_sparkline([3.0], UNICODE.bars) == "▁"


def test_a_chart_grows_from_its_lowest_line() -> None:
    assert draw_chart([8000.0, 4000.0, 0.0], 2, UNICODE.bars) == ["█  ", "██ "]


@given(st.lists(st.floats(0, 1e12), max_size=20), st.integers(1, 9))
def test_a_chart_has_the_requested_size(values: list[float], height: int) -> None:
    lines = draw_chart(values, height, UNICODE.bars)

    assert [len(line) for line in lines] == [len(values)] * height
