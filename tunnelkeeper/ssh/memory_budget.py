"""Memory that peers can make this process occupy, taken from a budget in bytes.

Two things are counted: the receive windows of channels, which a peer may fill at any time, and the
data that waits to be read by a peer. A request for more than a limit permits is refused. If the
limit is that of the process, the largest holder loses its connection to make room. Data that exists
already cannot be refused, so there the largest holder below the limit loses its connection.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

import asyncssh
from asyncssh.constants import OPEN_RESOURCE_SHORTAGE

from tunnelkeeper.core.budget import Budget, Level, Resource
from tunnelkeeper.net.memory_limits import default_budget

if TYPE_CHECKING:
    from tunnelkeeper.core.budget import Account, Exceeded, Limits

CHANNEL_BYTES = 32 * 1024
"""Bytes of a channel besides its window: the buffer of its socket, and the objects."""

GROWTH_DIVISOR = 2
"""Windows grow within this part of each limit. The rest is for new channels and for output."""

MEGABYTE = 1e6

log = logging.getLogger(__name__)


class OverBudgetError(asyncssh.ConnectionLost):
    """Raised on a connection that holds the most memory when a limit is exceeded."""


class MemoryShortageError(asyncssh.ChannelOpenError):
    """Raised when no memory is left for a channel."""

    def __init__(self, reason: str) -> None:
        super().__init__(OPEN_RESOURCE_SHORTAGE, reason)


class MemoryHolder(Protocol):
    """The owner of an account."""

    account: Account[Any]
    key_name: str
    """What its key stands for, for the log: a key of a client, or a server."""

    @property
    def label(self) -> str:
        """Who it is, for the log."""

    def end_over_budget(self, error: OverBudgetError) -> None:
        """End the connection and free its memory."""


def memory_limits(
    process: int | None = None, key: int | None = None, address: int | None = None
) -> Limits:
    """Return limits in bytes, 0 for none. None: the default, which depends on the machine.

    key: of all connections with one key, or to one server. address: from one source address.
    """
    if process is None:
        process = default_budget()
    return {
        (Level.PROCESS, Resource.BYTES): process,
        (Level.KEY, Resource.BYTES): process // 2 if key is None else key,
        (Level.ADDRESS, Resource.BYTES): process * 3 // 4 if address is None else address,
    }


def new_budget() -> Budget[Any]:
    """Return a budget with the default limits of memory."""
    return Budget(memory_limits())


def free_for_windows(account: Account[Any]) -> int:
    """Return the bytes by which windows of a connection may grow."""
    return account.soft_free(Resource.BYTES, GROWTH_DIVISOR)


def reserve(account: Account[Any], size: int) -> Exceeded | None:
    """Take bytes for something that the peer asks for. Return the limit that forbids it."""
    while (exceeded := account.acquire(Resource.BYTES, size)) is not None:
        largest = account.budget.largest(Resource.BYTES)
        if exceeded.level is not Level.PROCESS or largest is None or _is_same(largest, account):
            return exceeded
        _end(largest, exceeded)
    return None


def record(account: Account[Any], size: int) -> None:
    """Count bytes that wait already. Beyond a limit, the largest holder loses its connection."""
    exceeded = account.record(Resource.BYTES, size)
    if exceeded is not None:
        largest = account.budget.largest(Resource.BYTES, exceeded.level, account)
        if largest is not None:
            _end(largest, exceeded)


def release(account: Account[Any], size: int) -> None:
    """Return bytes."""
    account.release(Resource.BYTES, size)


def shortage_text(account: Account[Any], exceeded: Exceeded) -> str:
    """Return why a request for memory was refused."""
    held = _megabytes(account.held(Resource.BYTES))
    return f"{held} of memory held; {_limit_text(account, exceeded)}"


def _is_same(one: Account[Any], other: Account[Any]) -> bool:
    return one is other or (one.key is not None and one.key == other.key)


def _end(largest: Account[Any], exceeded: Exceeded) -> None:
    holder: MemoryHolder = largest.owner
    reason = (
        f"it held {_megabytes(largest.held(Resource.BYTES))} of memory, "
        f"the most of all; {_limit_text(largest, exceeded)}"
    )
    log.warning("%s is disconnected: %s", holder.label, reason)
    holder.end_over_budget(OverBudgetError(reason))


def _limit_text(account: Account[Any], exceeded: Exceeded) -> str:
    level = account.owner.key_name if exceeded.level is Level.KEY else exceeded.level
    return f"the limit of the {level} is {_megabytes(exceeded.limit)}"


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:.1f} MB"
