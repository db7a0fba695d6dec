"""Who loses when the memory that peers occupy exceeds a limit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from tunnelkeeper.core.budget import Account, Budget, Level, Resource
from tunnelkeeper.ssh.memory_budget import (
    OverBudgetError,
    memory_limits,
    record,
    reserve,
    shortage_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MB = 1_000_000


class Holder:
    """A connection of a key. ended: why it was ended."""

    key_name = "key"

    def __init__(self, budget: Budget[Any], key: str, held: int = 0) -> None:
        self.account: Account[Any] = budget.open(self, "192.0.2.1")
        self.account.assign_key(key)
        self.account.acquire(Resource.BYTES, held)
        self.label = key
        self.ended: str | None = None

    def end_over_budget(self, error: OverBudgetError) -> None:
        self.ended = str(error)
        self.account.close()


def budget_of(process: int, key: int = 0, address: int = 0) -> Budget[Any]:
    return Budget(memory_limits(process, key, address))


def test_the_largest_holder_loses_when_another_needs_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    budget = budget_of(100 * MB)
    large, small = Holder(budget, "large", 90 * MB), Holder(budget, "small", 5 * MB)

    with caplog.at_level(logging.WARNING):
        assert reserve(small.account, 10 * MB) is None

    assert small.account.held(Resource.BYTES) == 15 * MB
    assert large.ended is not None
    assert small.ended is None
    expected = "it held 90.0 MB of memory, the most of all; the limit of the process is 100.0 MB"
    assert caplog.messages == [f"large is disconnected: {expected}"]


def test_the_largest_holder_itself_is_refused_and_stays_connected() -> None:
    budget = budget_of(100 * MB)
    large, small = Holder(budget, "large", 90 * MB), Holder(budget, "small", 5 * MB)

    exceeded = reserve(large.account, 10 * MB)

    assert exceeded is not None
    assert exceeded.level is Level.PROCESS
    assert large.ended is None
    assert small.ended is None
    text = "90.0 MB of memory held; the limit of the process is 100.0 MB"
    assert shortage_text(large.account, exceeded) == text


def test_another_connection_of_the_largest_key_is_refused() -> None:
    budget = budget_of(100 * MB)
    first, second = Holder(budget, "a", 90 * MB), Holder(budget, "a")

    assert reserve(second.account, 20 * MB) is not None
    assert first.ended is None


@pytest.mark.parametrize("make", [lambda: budget_of(0, 50 * MB), lambda: budget_of(0, 0, 50 * MB)])
def test_a_limit_below_the_process_refuses_and_ends_no_connection(
    make: Callable[[], Budget[Any]],
) -> None:
    budget = make()
    holder = Holder(budget, "a", 45 * MB)
    other = Holder(budget, "a", 1 * MB)

    assert reserve(holder.account, 10 * MB) is not None
    assert holder.ended is None
    assert other.ended is None


def test_memory_is_freed_from_several_holders_if_one_is_not_enough() -> None:
    budget = budget_of(100 * MB)
    holders = [Holder(budget, f"key {number}", 30 * MB) for number in range(3)]
    needy = Holder(budget, "needy")

    assert reserve(needy.account, 60 * MB) is None
    assert [holder.ended is None for holder in holders] == [False, False, True]


def test_output_that_exceeds_the_limit_of_a_key_ends_its_largest_connection() -> None:
    budget = budget_of(0, 50 * MB)
    large, small = Holder(budget, "a", 40 * MB), Holder(budget, "a", 5 * MB)
    other = Holder(budget, "b", 45 * MB)

    record(small.account, 10 * MB)

    assert large.ended is not None
    assert small.ended is None
    assert other.ended is None


def test_the_default_limits_are_parts_of_the_limit_of_the_process() -> None:
    limits = memory_limits(100 * MB)

    assert limits == {
        (Level.PROCESS, Resource.BYTES): 100 * MB,
        (Level.KEY, Resource.BYTES): 50 * MB,
        (Level.ADDRESS, Resource.BYTES): 75 * MB,
    }
    assert memory_limits()[Level.PROCESS, Resource.BYTES] >= 64 << 20
