"""What all clients of a relay share: file descriptors, channels and lookups of names.

Descriptors are those of the process (RLIMIT_NOFILE of getrlimit(2)). A share belongs to a key and
to a source address, whatever connections and user names they use. This module closes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.shares import Holder, Shares
from tunnelkeeper.net.descriptor_pool import DescriptorPool, ShareUsedUpError
from tunnelkeeper.relay import addresses
from tunnelkeeper.relay.per_source import FAIR_BLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence

RESERVE = 132
"""Descriptors that clients leave free: a hundred for logins, which is max_startups by default, and
32 for the control socket, authorized_keys, the addresses of interfaces and the log."""

MAX_CHANNELS = 16384
"""Channels of all clients together. Each costs about 10 KiB, also without any data, and those to a
name or to a shell that is refused have no descriptor that would limit them."""

MAX_LOOKUPS = 64
"""Lookups of all clients together. Each has a thread and up to two descriptors until its name
servers answer, which can take a minute, even if its client has left."""

LOGIN_RETRY_DELAY = 0.05
"""Seconds for which connections wait to be accepted when only the reserve of the rest is left."""


def relay_descriptors() -> DescriptorPool:
    """Return the descriptors that the clients of a relay share."""
    return DescriptorPool(RESERVE)


def relay_channels() -> SharedBudget:
    """Return the channels that the clients of a relay share."""
    return SharedBudget(MAX_CHANNELS, "channels")


def relay_lookups() -> SharedBudget:
    """Return the lookups that the clients of a relay share."""
    return SharedBudget(MAX_LOOKUPS, "name lookups")


def login_limit(pool: DescriptorPool) -> int:
    """Return the number of connections that may log in at the same time.

    Without MaxStartups it is half of the descriptors, as for any other holder.
    """
    return max(pool.reserve - control_reserve(pool), pool.free)


def control_reserve(pool: DescriptorPool) -> int:
    """Return the number of descriptors that logins leave free for the rest."""
    return pool.reserve // 4


def check_login(pool: DescriptorPool) -> None:
    """Raise ShareUsedUpError if no other connection may be accepted for a login.

    A burst of connections can use up the reserve for a moment: each closes an older one, but a
    descriptor is free in the next turn of the event loop only.
    """
    try:
        pool.check_reserve(control_reserve(pool))
    except ShareUsedUpError as error:
        error.retry_after = LOGIN_RETRY_DELAY
        raise


class SharedBudget:
    """A number of units for all clients, divided by core.shares. what: the units, for messages."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit = limit
        self._what = what
        self._shares = Shares()

    @property
    def taken(self) -> int:
        """The number of units that are taken."""
        return self._shares.taken

    def take(self, holders: Sequence[Holder]) -> str | None:
        """Count a unit and return None, or return why its holders may not have it."""
        exhausted = self._shares.exhausted(holders, self._limit - self._shares.taken)
        if exhausted is not None:
            return f"{exhausted.name} has used its share of the relay's {self._what}"
        self._shares.take(holders)
        return None

    def give_back(self, holders: Sequence[Holder]) -> None:
        """Stop counting a unit."""
        self._shares.give_back(holders)


def holders_of(key: bytes, host: str) -> tuple[Holder, ...]:
    """Return the holders of what a connection uses: its key and its source address.

    Loopback is no holder: behind a proxy on this machine, all clients share it.
    """
    holder = Holder("this key", key)
    try:
        is_shared = addresses.parse(host).is_loopback
    except ValueError:
        return (holder,)
    return (holder,) if is_shared else (holder, Holder("this address", FAIR_BLOCK.block_of(host)))
