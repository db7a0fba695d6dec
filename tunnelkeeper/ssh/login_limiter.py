"""Limit of concurrent handshakes with one server, so that many tunnels do not overload it.

The limit is learnt from the server (core.concurrency_limit) and kept while it is below the default.
A rejected attempt retries after all others have ended, and after a restart of the server many
attempts come at once again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.core.concurrency_limit import ConcurrencyLimit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Server = tuple[object, ...]
"""The address of a server, and the way to it: behind two jump hosts, one address can be two
servers."""

PATIENCE = 10.0
"""Seconds after which a handshake no longer counts. Those of one user may hang in the server's
directory service, and then they would hold up those of all others."""


@dataclass(slots=True)
class ServerSlots:
    """The handshakes with one server.

    Attributes:
        concurrency: The limit that was learnt.
        in_progress: The number of handshakes that run.
        queue: Waiters in order. Each gets the number of handshakes in progress, its own included.
    """

    concurrency: ConcurrencyLimit = field(default_factory=ConcurrencyLimit)
    in_progress: int = 0
    queue: deque[asyncio.Future[int]] = field(default_factory=deque)

    @property
    def is_unused(self) -> bool:
        """Whether no handshake runs or waits, and nothing was learnt."""
        return not self.in_progress and not self.queue and self.concurrency == ConcurrencyLimit()

    async def acquire(self) -> int:
        """Wait for a slot. Return the number of handshakes in progress, this one included."""
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.queue.append(waiter)
        self._grant()
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # the slot was granted at the same time
                self.release()
            raise

    def release(self) -> None:
        """Free the slot for the next waiter."""
        self.in_progress -= 1
        self._grant()

    def _grant(self) -> None:
        while self.queue and self.in_progress < self.concurrency.limit:
            waiter = self.queue.popleft()
            if not waiter.cancelled():  # a cancelled waiter is still in the queue
                self.in_progress += 1
                waiter.set_result(self.in_progress)


@dataclass(slots=True)
class LoginSlot:
    """A handshake in progress, and its result.

    Attributes:
        in_flight: The handshakes in progress when it was granted, its own included.
        is_held: Whether it is one of the concurrent handshakes.
    """

    slots: ServerSlots
    in_flight: int
    is_held: bool = True

    def release(self) -> None:
        """Free the slot: the handshake is over, or it waits for a person for an unknown time."""
        if self.is_held:
            self.is_held = False
            self.slots.release()

    def succeeded(self) -> None:
        """Record a successful login."""
        self.slots.concurrency = self.slots.concurrency.on_success(self.in_flight)

    def rejected(self) -> str:
        """Record that the server closed the connection before its banner.

        Return a log message if the limit changed, else an empty string.
        """
        before = self.slots.concurrency.limit
        self.slots.concurrency = self.slots.concurrency.on_rejected(self.in_flight)
        after = self.slots.concurrency.limit
        if after == before:
            return ""
        return (
            f"the server closed one of {self.in_flight} concurrent logins; the limit is now {after}"
        )


@dataclass(slots=True)
class LoginLimiter:
    """The handshakes in progress, by server."""

    _servers: dict[Server, ServerSlots] = field(default_factory=dict)

    @asynccontextmanager
    async def acquire(self, server: Server) -> AsyncIterator[LoginSlot]:
        """Wait for a slot of a server, and hold it while the body runs."""
        slots = self._servers.setdefault(server, ServerSlots())
        try:
            slot = LoginSlot(slots, await slots.acquire())
            timer = asyncio.get_running_loop().call_later(PATIENCE, slot.release)
            try:
                yield slot
            finally:
                timer.cancel()
                slot.release()
        finally:
            if slots.is_unused and self._servers.get(server) is slots:
                del self._servers[server]
