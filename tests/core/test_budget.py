from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tunnelkeeper.core.budget import UNLIMITED, Account, Budget, Exceeded, Level, Resource

BYTES, CHANNELS = Resource.BYTES, Resource.CHANNELS
KEYS = st.sampled_from(["ann", "box"])
ADDRESSES = st.sampled_from(["192.0.2.1", "192.0.2.2"])
RESOURCES = st.sampled_from(list(Resource))
AMOUNTS = st.integers(0, 50)
LIMITS = st.dictionaries(
    st.tuples(st.sampled_from(list(Level)), RESOURCES), st.integers(0, 100), max_size=8
)


class Connections(RuleBasedStateMachine):
    """Connections that hold and return amounts, compared with plain sums."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: dict[tuple[Level, Resource], int] = {}
        self.budget: Budget[int] = Budget()
        self.accounts: list[tuple[Account[int], str]] = []
        self.held: dict[Account[int], Counter[Resource]] = {}
        self.count = 0

    def pick(self, number: int) -> Account[int]:
        return self.accounts[number % len(self.accounts)][0]

    def total(self, resource: Resource) -> int:
        return sum(self.held[account][resource] for account, _ in self.accounts)

    def total_of_key(self, key: object, resource: Resource) -> int:
        accounts = [account for account, _ in self.accounts if account.key == key]
        return sum(self.held[account][resource] for account in accounts)

    def total_of_address(self, address: str, resource: Resource) -> int:
        accounts = [account for account, of in self.accounts if of == address]
        return sum(self.held[account][resource] for account in accounts)

    @rule(limits=LIMITS)
    def set_limits(self, limits: dict[tuple[Level, Resource], int]) -> None:
        self.limits = limits
        self.budget.set_limits(limits)

    @rule(address=ADDRESSES)
    def open(self, address: str) -> None:
        self.count += 1
        account = self.budget.open(self.count, address)
        self.accounts.append((account, address))
        self.held[account] = Counter()

    @precondition(lambda self: self.accounts)
    @rule(number=st.integers(0, 100), key=KEYS)
    def log_in(self, number: int, key: str) -> None:
        self.pick(number).assign_key(key)

    @precondition(lambda self: self.accounts)
    @rule(number=st.integers(0, 100), resource=RESOURCES, amount=AMOUNTS)
    def acquire(self, number: int, resource: Resource, amount: int) -> None:
        account, address = self.accounts[number % len(self.accounts)]
        amounts = {
            Level.CONNECTION: self.held[account][resource],
            Level.KEY: 0 if account.key is None else self.total_of_key(account.key, resource),
            Level.ADDRESS: self.total_of_address(address, resource),
            Level.PROCESS: self.total(resource),
        }
        limits = {level: self.limits.get((level, resource), 0) or UNLIMITED for level in Level}
        if account.key is None:
            limits[Level.KEY] = UNLIMITED
        full = [level for level in Level if amounts[level] + amount > limits[level]]
        free = max(0, min(limits[level] - amounts[level] for level in Level))
        assert account.free(resource) == account.soft_free(resource, 1) == free

        exceeded = account.acquire(resource, amount)

        if full:
            assert exceeded == Exceeded(full[0], resource, limits[full[0]])
        else:
            assert exceeded is None
            self.held[account][resource] += amount

    @precondition(lambda self: self.accounts)
    @rule(number=st.integers(0, 100), resource=RESOURCES, amount=AMOUNTS)
    def record(self, number: int, resource: Resource, amount: int) -> None:
        account = self.pick(number)
        exceeded = account.record(resource, amount)
        self.held[account][resource] += amount
        limit = self.limits.get((Level.PROCESS, resource), 0)
        if limit and self.total(resource) > limit:
            assert exceeded is not None

    @precondition(lambda self: self.accounts)
    @rule(number=st.integers(0, 100), resource=RESOURCES, amount=AMOUNTS)
    def release(self, number: int, resource: Resource, amount: int) -> None:
        account = self.pick(number)
        account.release(resource, amount)
        self.held[account][resource] = max(0, self.held[account][resource] - amount)

    @precondition(lambda self: self.accounts)
    @rule(number=st.integers(0, 100))
    def close(self, number: int) -> None:
        account, _ = self.accounts.pop(number % len(self.accounts))
        del self.held[account]
        account.close()
        account.record(BYTES, 5)
        account.release(BYTES, 5)
        account.assign_key("ann")
        account.close()

        assert account.is_closed
        assert account.acquire(BYTES, 1) is not None
        assert not account.free(BYTES)
        assert not any(account.held(resource) for resource in Resource)

    @invariant()
    def sums_agree_at_every_level(self) -> None:
        for resource in Resource:
            assert self.budget.held(resource) == self.total(resource)
            for account, address in self.accounts:
                assert account.held(resource) == self.held[account][resource] >= 0
                of_address = self.total_of_address(address, resource)
                assert self.budget.held_by_address(address, resource) == of_address
                if account.key is not None:
                    of_key = self.total_of_key(account.key, resource)
                    assert self.budget.held_by_key(account.key, resource) == of_key

    @invariant()
    def the_largest_holder_is_named(self) -> None:
        def amounts(account: Account[int]) -> tuple[int, int]:
            own = self.held[account][BYTES]
            return (own if account.key is None else self.total_of_key(account.key, BYTES)), own

        largest = self.budget.largest(BYTES)
        if largest is None:
            assert not self.total(BYTES)
        else:
            assert amounts(largest) == max(amounts(account) for account, _ in self.accounts)


TestConnections = Connections.TestCase


@given(st.lists(AMOUNTS))
def test_closing_every_account_returns_all_that_was_held(amounts: list[int]) -> None:
    budget: Budget[int] = Budget()
    accounts = [budget.open(number, "192.0.2.1") for number, _ in enumerate(amounts)]
    for account, amount in zip(accounts, amounts, strict=True):
        account.assign_key("box")
        account.acquire(BYTES, amount)
    assert budget.held(BYTES) == sum(amounts)

    for account in accounts:
        account.close()

    assert not budget.held(BYTES)
    assert not budget.held_by_key("box", BYTES)
    assert not budget._shared


def test_the_key_with_the_most_loses_before_the_largest_connection() -> None:
    budget: Budget[str] = Budget()
    for owner, key, amount in (("a1", "a", 40), ("a2", "a", 50), ("b1", "b", 60)):
        account = budget.open(owner)
        account.assign_key(key)
        account.acquire(BYTES, amount)

    largest = budget.largest(BYTES)

    assert largest is not None
    assert largest.owner == "a2"


def test_a_connection_that_has_not_logged_in_can_be_the_largest() -> None:
    budget: Budget[str] = Budget()
    budget.open("stranger", "192.0.2.1").acquire(BYTES, 9)
    client = budget.open("client", "192.0.2.2")
    client.assign_key("box")
    client.acquire(BYTES, 8)

    largest = budget.largest(BYTES)

    assert largest is not None
    assert largest.owner == "stranger"


@pytest.mark.parametrize(
    ("level", "owner"),
    [
        (Level.PROCESS, "large"),
        (Level.ADDRESS, "same address"),
        (Level.KEY, "same key"),
        (Level.CONNECTION, "near"),
    ],
)
def test_below_the_process_only_holders_of_the_same_name_are_compared(
    level: Level, owner: str
) -> None:
    budget: Budget[str] = Budget()
    accounts = {}
    for name, key, address, amount in (
        ("near", "a", "192.0.2.1", 10),
        ("same key", "a", "192.0.2.2", 20),
        ("same address", "b", "192.0.2.1", 40),
        ("large", "c", "192.0.2.3", 90),
    ):
        accounts[name] = budget.open(name, address)
        accounts[name].assign_key(key)
        accounts[name].acquire(BYTES, amount)

    largest = budget.largest(BYTES, level, accounts["near"])

    assert largest is not None
    assert largest.owner == owner


@pytest.mark.parametrize("level", Level)
def test_an_amount_beyond_a_limit_is_held_at_no_level(level: Level) -> None:
    budget: Budget[str] = Budget({(level, CHANNELS): 2})
    account = budget.open("box", "192.0.2.1")
    account.assign_key("box")
    assert account.acquire(CHANNELS, 2) is None

    assert account.acquire(CHANNELS) == Exceeded(level, CHANNELS, 2)

    assert account.held(CHANNELS) == budget.held(CHANNELS) == 2


def test_optional_amounts_leave_a_share_of_each_limit_to_others() -> None:
    budget: Budget[str] = Budget({(Level.PROCESS, BYTES): 100, (Level.CONNECTION, BYTES): 80})
    account = budget.open("box")

    assert account.soft_free(BYTES, 2) == 40

    account.acquire(BYTES, 50)

    assert account.soft_free(BYTES, 2) == 0
    assert account.free(BYTES) == 30
