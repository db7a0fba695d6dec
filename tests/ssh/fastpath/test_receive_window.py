from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.budget import Account, Budget, Level, Resource
from tunnelkeeper.ssh.fastpath.receive_window import (
    BDP_FACTOR,
    FIRST_WINDOW,
    MAX_PACKET,
    MAX_WINDOW,
    MIN_WINDOW,
    OPEN_WINDOW,
    credit_threshold,
    first_window,
    growth,
)
from tunnelkeeper.ssh.memory_budget import free_for_windows, reserve

MB = 1_000_000
LIMIT = 1 << 30


def account_of(limit: int = LIMIT) -> Account[None]:
    return Budget[None]({(Level.PROCESS, Resource.BYTES): limit}).open(None)


@dataclass
class Channel:
    """A channel whose peer always fills the window, at up to `max_rate` bytes per second."""

    max_rate: float
    round_trip: float
    account: Account[None] = field(default_factory=account_of)
    window: int = OPEN_WINDOW
    last_rate: float = 0.0

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return min(self.max_rate, self.window / self.round_trip)

    def credit(self, measured: float | None) -> int:
        """Give credit once. measured: the measured round trip."""
        free = free_for_windows(self.account)
        extra = growth(self.window, free, self.rate, measured, self.last_rate)
        if extra:
            assert reserve(self.account, extra) is None
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

    assert channel.window <= max(OPEN_WINDOW, 2 * BDP_FACTOR * max_rate * round_trip)


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
def test_all_windows_together_leave_half_of_the_budget(round_trip_times: list[float]) -> None:
    account = account_of()
    channels = [Channel(1e12, round_trip_time, account) for round_trip_time in round_trip_times]

    for channel in channels:
        for _ in range(20):
            channel.credit(channel.round_trip)

    grown = sum(channel.window - OPEN_WINDOW for channel in channels)
    assert account.held(Resource.BYTES) == grown <= LIMIT // 2
    assert all(channel.window <= MAX_WINDOW for channel in channels)


@pytest.mark.parametrize("megabytes", [4, 16])
def test_on_a_long_link_each_credit_doubles_the_window(megabytes: int) -> None:
    channel = Channel(10_000 * MB, 0.1)
    doublings = 0
    while channel.window < megabytes * 1024 * 1024:
        assert channel.credit(0.1)
        doublings += 1

    assert OPEN_WINDOW << doublings == megabytes * 1024 * 1024


@given(st.integers(0, 1 << 40))
def test_the_first_window_is_small_and_takes_at_least_one_packet(free: int) -> None:
    window = first_window(free)

    assert MIN_WINDOW <= window <= FIRST_WINDOW
    assert window % MAX_PACKET == 0
    assert window <= max(MIN_WINDOW, free // 256)


@given(st.integers(MIN_WINDOW, OPEN_WINDOW - 1), st.integers(0, 1 << 40))
def test_the_first_growth_needs_no_round_trip_and_leaves_most_of_the_budget(
    window: int, free: int
) -> None:
    extra = growth(window, free, 1.0, None, 1e9)

    assert 0 <= extra <= free // 16
    assert window + extra <= OPEN_WINDOW
    assert window + extra == OPEN_WINDOW or free < 16 * OPEN_WINDOW


@given(st.integers(MIN_WINDOW, MAX_WINDOW))
def test_credit_is_given_before_the_window_is_used_up(window: int) -> None:
    assert 0 < credit_threshold(window) <= window // 2
