"""Budgets of a process: what its connections hold of each resource, and who holds the most.

Amounts are counted for four levels at once: the connection, its key, its source address and the
process. A key and an address can have several connections. This module counts and compares; it
closes nothing, and it knows no clock.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from enum import IntEnum, StrEnum
from typing import Generic, TypeVar

from msgspec import Struct

Owner = TypeVar("Owner")

UNLIMITED = 1 << 62
"""A limit that no amount reaches."""


class Resource(IntEnum):
    """What a connection occupies."""

    BYTES = 0
    CHANNELS = 1
    DESCRIPTORS = 2
    TASKS = 3


class Level(StrEnum):
    """Whose amount a limit applies to."""

    CONNECTION = "connection"
    KEY = "key"
    ADDRESS = "address"
    PROCESS = "process"


Limits = Mapping[tuple[Level, Resource], int]
"""The largest amounts; 0 or a missing entry: no limit."""


class Exceeded(Struct, frozen=True):
    """The limit that an amount exceeds: of the first level of `Level` that is full."""

    level: Level
    resource: Resource
    limit: int


class _Holder:
    """A connection, a key, an address or the process. limits: by number of the resource."""

    __slots__ = ("held", "level", "limits", "members")

    def __init__(self, level: Level, limits: list[int]) -> None:
        self.level = level
        self.limits = limits
        self.held = [0] * len(Resource)
        self.members = 0  # open accounts


class Account(Generic[Owner]):
    """What one connection holds.

    Attributes:
        owner: Of the connection, to find it again.
        key: None before the login.
        address: What counts as one source; None if it is not counted.
    """

    def __init__(self, owner: Owner, budget: Budget[Owner], address: Hashable) -> None:
        self.owner = owner
        self.budget = budget
        self.key: Hashable = None
        self.address = address
        self._own = _Holder(Level.CONNECTION, budget.limits_of(Level.CONNECTION))
        self._holders: tuple[_Holder, ...] = ()
        self._join()

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended."""
        return not self._holders

    def held(self, resource: Resource) -> int:
        """Return what the connection holds."""
        return self._own.held[resource]

    def free(self, resource: Resource) -> int:
        """Return the largest amount that `acquire` would grant now; 0 if a limit is exceeded."""
        return self.soft_free(resource, 1)

    def soft_free(self, resource: Resource, divisor: int) -> int:
        """Return what is free if all limits were divided; 0 if such a limit is exceeded.

        It is for amounts that are useful but not needed: they leave the rest to others.
        """
        free = (each.limits[resource] // divisor - each.held[resource] for each in self._holders)
        return max(0, min(free, default=0))

    def acquire(self, resource: Resource, amount: int = 1) -> Exceeded | None:
        """Hold an amount more, at all levels or at none. Return the limit that forbids it."""
        if not self._holders:
            return Exceeded(Level.CONNECTION, resource, 0)
        for holder in self._holders:
            if holder.held[resource] + amount > holder.limits[resource]:
                return Exceeded(holder.level, resource, holder.limits[resource])
        for holder in self._holders:
            holder.held[resource] += amount
        return None

    def record(self, resource: Resource, amount: int = 1) -> Exceeded | None:
        """Hold an amount that is in use already. Return the limit that is exceeded then."""
        exceeded = None
        for holder in self._holders:
            holder.held[resource] += amount
            if exceeded is None and holder.held[resource] > holder.limits[resource]:
                exceeded = Exceeded(holder.level, resource, holder.limits[resource])
        return exceeded

    def release(self, resource: Resource, amount: int = 1) -> None:
        """Return an amount, at most what the connection holds. A closed account holds nothing."""
        amount = min(amount, self._own.held[resource])
        for holder in self._holders:
            holder.held[resource] -= amount

    def assign_key(self, key: Hashable) -> None:
        """Count what the connection holds for a key too, from the login on."""
        if not self._holders:
            return
        self._leave()
        self.key = key
        self._join()

    def close(self) -> None:
        """Return all that the connection holds. It can hold nothing afterwards."""
        self._leave()
        self._own.held = [0] * len(Resource)
        self._holders = ()

    def _join(self) -> None:
        shared = self.budget.add(self)
        self._holders = (self._own, *shared)
        for holder in shared:
            holder.members += 1
            for resource in Resource:
                holder.held[resource] += self._own.held[resource]

    def _leave(self) -> None:
        for holder in self._holders[1:]:
            holder.members -= 1
            for resource in Resource:
                holder.held[resource] -= self._own.held[resource]
        self.budget.remove(self)


class Budget(Generic[Owner]):
    """The accounts of all connections of a process, and the limits of each level."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = {level: [UNLIMITED] * len(Resource) for level in Level}
        self._process = _Holder(Level.PROCESS, self._limits[Level.PROCESS])
        self._shared: dict[tuple[Level, Hashable], _Holder] = {}
        self._accounts: dict[Account[Owner], None] = {}  # oldest first
        self.set_limits(limits or {})

    def set_limits(self, limits: Limits) -> None:
        """Replace all limits. An amount that exceeds a new limit stays held."""
        for level, of_level in self._limits.items():
            for resource in Resource:
                of_level[resource] = limits.get((level, resource), 0) or UNLIMITED

    def open(self, owner: Owner, address: Hashable = None) -> Account[Owner]:
        """Return the account of a new connection. Its key is assigned after the login.

        address: what counts as one source; None: it is not counted.
        """
        return Account(owner, self, address)

    def held(self, resource: Resource) -> int:
        """Return what all connections hold together."""
        return self._process.held[resource]

    def held_by_key(self, key: Hashable, resource: Resource) -> int:
        """Return what all connections of a key hold."""
        return self._held(Level.KEY, key, resource)

    def held_by_address(self, address: Hashable, resource: Resource) -> int:
        """Return what all connections from an address hold."""
        return self._held(Level.ADDRESS, address, resource)

    def largest(
        self, resource: Resource, level: Level = Level.PROCESS, near: Account[Owner] | None = None
    ) -> Account[Owner] | None:
        """Return the largest holder: of the key that holds the most, the largest connection.

        A connection without a key counts as a key of its own. The oldest of equals is returned,
        and None if nothing is held.

        Args:
            resource: What is compared.
            level: A level below the process considers only accounts that share it with `near`.
            near: Any account, for a level below the process.
        """

        def amounts(account: Account[Owner]) -> tuple[int, int]:
            own = account.held(resource)
            of_key = own if account.key is None else self.held_by_key(account.key, resource)
            return of_key, own

        candidates: Iterable[Account[Owner]] = self._accounts
        match level, near:
            case Level.CONNECTION, Account():
                candidates = (near,)
            case Level.KEY, Account():
                candidates = (each for each in self._accounts if each.key == near.key)
            case Level.ADDRESS, Account():
                candidates = (each for each in self._accounts if each.address == near.address)
        found = max(candidates, key=amounts, default=None)
        return found if found is not None and found.held(resource) else None

    # -- used by Account ---------------------------------------------------------------------

    def limits_of(self, level: Level) -> list[int]:
        """Return the limits of a level, by number of the resource; they change with reloads."""
        return self._limits[level]

    def add(self, account: Account[Owner]) -> list[_Holder]:
        """Add an account. Return the holders that it shares with others."""
        self._accounts[account] = None
        names = ((Level.KEY, account.key), (Level.ADDRESS, account.address))
        holders = []
        for level, name in names:
            if name is not None:
                new = _Holder(level, self._limits[level])
                holders.append(self._shared.setdefault((level, name), new))
        return [*holders, self._process]

    def remove(self, account: Account[Owner]) -> None:
        """Remove an account, and the holders that have no other."""
        self._accounts.pop(account, None)
        for shared in ((Level.KEY, account.key), (Level.ADDRESS, account.address)):
            holder = self._shared.get(shared)
            if holder is not None and not holder.members:
                del self._shared[shared]

    def _held(self, level: Level, name: Hashable, resource: Resource) -> int:
        holder = self._shared.get((level, name))
        return 0 if holder is None else holder.held[resource]
