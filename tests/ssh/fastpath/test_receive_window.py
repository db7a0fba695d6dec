from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.ssh.channels import INITIAL_WINDOW
from tunnelkeeper.ssh.fastpath.receive_window import (
    BDP_FACTOR,
    MAX_WINDOW,
    TOTAL_BUDGET,
    WindowBudget,
)

MB = 1_000_000


@dataclass
class Channel:
    """A channel whose peer always fills the window, at up to `max_rate` bytes per second."""

    max_rate: float
    round_trip: float
    budget: WindowBudget = field(default_factory=WindowBudget)
    window: int = INITIAL_WINDOW
    last_rate: float = 0.0

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return min(self.max_rate, self.window / self.round_trip)

    def credit(self, measured: float | None) -> int:
        """Give credit once. measured: the measured round trip."""
        extra = self.budget.grant(self.window, self.rate, measured, self.last_rate)
        if extra:
            self.last_rate = self.rate
            self.window += extra
        return extra

    def settle(self, measured: float | None) -> None:
        """Give credit until the window stops growing."""
        for _ in range(20):
            self.credit(measured)
        assert not self.credit(measured)


rates = st.floats(1e3, 1e10)
round_trips = st.floats(1e-5, 10)


@given(rates, round_trips)
def test_a_window_grows_until_it_no_longer_limits_the_rate(
    max_rate: float, round_trip: float
) -> None:
    channel = Channel(max_rate, round_trip)

    channel.settle(round_trip)

    assert channel.rate == max_rate or channel.window == MAX_WINDOW


@given(rates, round_trips)
def test_a_window_grows_no_further_than_the_link_needs(max_rate: float, round_trip: float) -> None:
    channel = Channel(max_rate, round_trip)

    channel.settle(round_trip)

    assert channel.window <= max(INITIAL_WINDOW, 2 * BDP_FACTOR * max_rate * round_trip)


@given(rates, round_trips, st.floats(1, 1000))
def test_an_overestimated_round_trip_costs_at_most_one_doubling(
    max_rate: float, round_trip: float, factor: float
) -> None:
    correct, overestimated = Channel(max_rate, round_trip), Channel(max_rate, round_trip)

    correct.settle(round_trip)
    overestimated.settle(round_trip * factor)

    assert overestimated.window <= 2 * correct.window


def test_without_a_round_trip_a_window_does_not_grow() -> None:
    assert not Channel(300 * MB, 0.1).credit(None)


def test_a_faster_link_gets_a_larger_window() -> None:
    channel = Channel(20 * MB, 0.1)
    channel.settle(0.1)
    before = channel.window
    channel.max_rate = 100 * MB

    channel.settle(0.1)

    assert channel.window > before


@given(st.lists(round_trips, min_size=1, max_size=40))
def test_all_windows_together_stay_within_the_budget(round_trip_times: list[float]) -> None:
    budget = WindowBudget()
    channels = [Channel(1e12, round_trip_time, budget) for round_trip_time in round_trip_times]

    for channel in channels:
        channel.settle(channel.round_trip)

    assert budget.granted == sum(channel.window - INITIAL_WINDOW for channel in channels)
    assert budget.granted <= TOTAL_BUDGET
    assert all(channel.window <= MAX_WINDOW for channel in channels)


def test_released_bytes_can_be_granted_again() -> None:
    budget = WindowBudget(TOTAL_BUDGET)
    channel = Channel(300 * MB, 0.1, budget)
    assert not channel.credit(0.1)

    budget.release(INITIAL_WINDOW)

    assert channel.credit(0.1) == INITIAL_WINDOW


@pytest.mark.parametrize("megabytes", [4, 16])
def test_on_a_long_link_each_credit_doubles_the_window(megabytes: int) -> None:
    channel = Channel(10_000 * MB, 0.1)
    doublings = 0
    while channel.window < megabytes * 1024 * 1024:
        assert channel.credit(0.1)
        doublings += 1

    assert INITIAL_WINDOW << doublings == megabytes * 1024 * 1024
