from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.ssh.fastpath.receive_window import (
    BDP_FACTOR,
    MAX_WINDOW,
    TOTAL_BUDGET,
    WindowBudget,
)
from tunnelkeeper.ssh.open_channel import INITIAL_WINDOW

MB = 1_000_000


@dataclass
class Channel:
    """A channel whose peer sends all it may, at most `fastest` bytes per second."""

    fastest: float
    round_trip: float
    windows: WindowBudget = field(default_factory=WindowBudget)
    window: int = INITIAL_WINDOW
    before: float = 0.0

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return min(self.fastest, self.window / self.round_trip)

    def credit(self, seen: float | None) -> int:
        """Give credit once; seen: the round trip that was measured."""
        extra = self.windows.grant(self.window, self.rate, seen, self.before)
        if extra:
            self.before = self.rate
            self.window += extra
        return extra

    def settle(self, seen: float | None) -> None:
        """Give credit until it grows no more."""
        for _ in range(20):
            self.credit(seen)
        assert not self.credit(seen)


rates = st.floats(1e3, 1e10)
round_trips = st.floats(1e-5, 10)


@given(rates, round_trips)
def test_a_window_grows_until_it_is_not_what_limits(fastest: float, round_trip: float) -> None:
    channel = Channel(fastest, round_trip)

    channel.settle(round_trip)

    assert channel.rate == fastest or channel.window == MAX_WINDOW


@given(rates, round_trips)
def test_it_grows_no_further_than_the_link_asks(fastest: float, round_trip: float) -> None:
    channel = Channel(fastest, round_trip)

    channel.settle(round_trip)

    assert channel.window <= max(INITIAL_WINDOW, 2 * BDP_FACTOR * fastest * round_trip)


@given(rates, round_trips, st.floats(1, 1000))
def test_a_round_trip_that_was_measured_too_long_costs_one_doubling_at_most(
    fastest: float, round_trip: float, wrong: float
) -> None:
    right, misled = Channel(fastest, round_trip), Channel(fastest, round_trip)

    right.settle(round_trip)
    misled.settle(round_trip * wrong)

    assert misled.window <= 2 * right.window


def test_without_a_round_trip_nothing_grows() -> None:
    assert not Channel(300 * MB, 0.1).credit(None)


def test_a_link_that_got_faster_gets_a_larger_window() -> None:
    channel = Channel(20 * MB, 0.1)
    channel.settle(0.1)
    before = channel.window
    channel.fastest = 100 * MB

    channel.settle(0.1)

    assert channel.window > before


@given(st.lists(round_trips, min_size=1, max_size=40))
def test_all_windows_together_stay_within_their_bound(trips: list[float]) -> None:
    windows = WindowBudget()
    channels = [Channel(1e12, trip, windows) for trip in trips]

    for channel in channels:
        channel.settle(channel.round_trip)

    assert windows.granted == sum(channel.window - INITIAL_WINDOW for channel in channels)
    assert windows.granted <= TOTAL_BUDGET
    assert all(channel.window <= MAX_WINDOW for channel in channels)


def test_what_a_channel_gives_back_others_may_have() -> None:
    windows = WindowBudget(TOTAL_BUDGET)
    channel = Channel(300 * MB, 0.1, windows)
    assert not channel.credit(0.1)

    windows.release(INITIAL_WINDOW)

    assert channel.credit(0.1) == INITIAL_WINDOW


@pytest.mark.parametrize("megabytes", [4, 16])
def test_on_a_long_link_it_takes_as_many_credits_as_doublings(megabytes: int) -> None:
    channel = Channel(10_000 * MB, 0.1)
    doublings = 0
    while channel.window < megabytes * 1024 * 1024:
        assert channel.credit(0.1)
        doublings += 1

    assert INITIAL_WINDOW << doublings == megabytes * 1024 * 1024
