"""Shares in a limited resource: no holder takes all of it, and each gets some."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.shares import Holder, Shares

TOTAL = 100


def key(number: int) -> Holder:
    return Holder("this key", number)


def take_all(shares: Shares, *greedy: tuple[Holder, ...], total: int = TOTAL) -> None:
    """Let holders take units in turn until none of them may take another."""
    is_taken = True
    while is_taken:
        is_taken = False
        for holders in greedy:
            if shares.exhausted(holders, total - shares.taken) is None:
                shares.take(holders)
                is_taken = True


def test_a_single_holder_gets_half() -> None:
    shares = Shares()
    take_all(shares, (key(1),))

    assert shares.held_by(key(1)) == TOTAL // 2


@pytest.mark.parametrize("count", [2, 3, 9])
def test_every_greedy_holder_gets_the_same_and_as_much_stays_free(count: int) -> None:
    shares = Shares()
    take_all(shares, *((key(number),) for number in range(count)))

    held = [shares.held_by(key(number)) for number in range(count)]
    assert max(held) - min(held) <= 1
    assert TOTAL - shares.taken >= TOTAL // (count + 1) - 1


def test_a_late_holder_gets_a_unit_while_others_have_used_up_their_shares() -> None:
    shares = Shares()
    take_all(shares, (key(1),), (key(2),))

    assert shares.exhausted([key(1)], TOTAL - shares.taken) == key(1)
    assert shares.exhausted([key(3)], TOTAL - shares.taken) is None


def test_many_keys_of_one_address_share_what_the_address_may_have() -> None:
    shares = Shares()
    address = Holder("this address", "192.0.2.1")
    take_all(shares, *((key(number), address) for number in range(20)))

    assert shares.held_by(address) == TOTAL // 2
    assert shares.exhausted([key(99), address], TOTAL - shares.taken) == address
    assert shares.exhausted([key(99)], TOTAL - shares.taken) is None


def test_nothing_can_be_taken_when_nothing_is_free() -> None:
    assert Shares().exhausted([key(1)], 0) == key(1)
    assert Shares().exhausted([key(1)], -5) == key(1)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=200))
def test_units_are_counted_exactly_whatever_the_order(steps: list[tuple[bool, int]]) -> None:
    shares, taken = Shares(), list[int]()
    for is_taking, number in steps:
        if is_taking:
            is_allowed = shares.exhausted([key(number)], 20 - shares.taken) is None
            assert is_allowed == (taken.count(number) < 20 - len(taken))
            if is_allowed:
                shares.take([key(number)])
                taken.append(number)
        elif number in taken:
            shares.give_back([key(number)])
            taken.remove(number)
        assert shares.taken == len(taken) <= 20
        assert all(shares.held_by(key(each)) == taken.count(each) for each in range(4))
