"""Rates and curves from counters that are told now and then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.dashboard.glyphs import ASCII, UNICODE, draw_chart, draw_sparkline
from tunnelkeeper.dashboard.throughput import HISTORY_SECONDS, IDLE, Meter, Rate


def make_meter(*seconds: tuple[float, float, int]) -> Meter:
    """One that noted so many bytes in, between these moments."""
    meter = Meter(0, 0)
    for begin, end, inward in seconds:
        meter.record(begin, end, meter.bytes_in + inward, 0)
    return meter


def test_the_rate_is_that_of_the_last_time_counters_were_told() -> None:
    meter = make_meter((0, 1, 500), (1, 3, 1000))

    assert meter.rate(3) == Rate(500, 0)
    assert meter.rate(4) == IDLE


def test_bytes_are_spread_over_the_seconds_that_they_came_in() -> None:
    meter = make_meter((0.5, 2.5, 400))

    assert [rate.inbound for rate in meter.series(3, 4)] == pytest.approx([0, 100, 200, 100])


def test_what_a_state_told_in_between_is_not_counted_twice() -> None:
    meter = make_meter((0, 0.5, 100), (0, 1, 100))

    assert meter.rate(1).inbound == pytest.approx(200)
    assert sum(rate.inbound for rate in meter.series(1, 3)) == pytest.approx(200)


def test_counters_that_went_back_are_no_traffic() -> None:
    meter = make_meter((0, 1, 500))
    meter.record(1, 2, 10, 0)

    assert meter.rate(2) == IDLE
    assert meter.bytes_in == 10


def test_idle_tunnels_cost_no_memory_and_old_samples_are_forgotten() -> None:
    meter = make_meter((0, 1, 500), (1, 2, 0), (HISTORY_SECONDS + 5, HISTORY_SECONDS + 6, 1))

    assert len(meter._samples) == 1


@given(
    st.lists(st.tuples(st.floats(0.1, 3), st.integers(0, 10**9)), max_size=30),
    st.integers(1, 300),
)
def test_a_curve_holds_no_more_than_what_flowed(steps: list[tuple[float, int]], count: int) -> None:
    meter, now = Meter(0, 0), 0.0
    for seconds, more in steps:
        meter.record(now, now + seconds, meter.bytes_in + more, 0)
        now += seconds
    series = meter.series(now, count)

    assert len(series) == count
    assert all(rate.inbound >= 0 for rate in series)
    assert sum(rate.inbound for rate in series) <= meter.bytes_in * 1.001 + 1


def test_a_sparkline_has_a_character_for_each_value() -> None:
    values = [0.0, 1.0, 4000.0, 8000.0]

    assert draw_sparkline(values, UNICODE.bars) == " ▁▄█"
    assert draw_sparkline(values, ASCII.bars) == " .:#"


def test_little_is_not_drawn_as_much() -> None:
    assert draw_sparkline([3.0], UNICODE.bars) == "▁"


def test_a_chart_stands_on_its_lowest_line() -> None:
    assert draw_chart([8000.0, 4000.0, 0.0], 2, UNICODE.bars) == ["█  ", "██ "]


@given(st.lists(st.floats(0, 1e12), max_size=20), st.integers(1, 9))
def test_a_chart_is_as_large_as_was_asked_for(values: list[float], height: int) -> None:
    lines = draw_chart(values, height, UNICODE.bars)

    assert [len(line) for line in lines] == [len(values)] * height
