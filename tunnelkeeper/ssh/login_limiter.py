"""A few handshakes at a time to one server: many tunnels coming back must not look like a flood.

The limit is learnt from the server (core.concurrency_limit) and remembered as long as it is below
usual: whoever was turned away comes back when all others are gone, and the next crowd comes when
the server was restarted.
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

Server = tuple[str, int]


@dataclass(slots=True)
class ServerSlots:
    """One server's. inside: handshakes under way. queue: whose turn comes, told its company."""

    concurrency: ConcurrencyLimit = field(default_factory=ConcurrencyLimit)
    in_progress: int = 0
    queue: deque[asyncio.Future[int]] = field(default_factory=deque)

    @property
    def is_unused(self) -> bool:
        """Whether nobody is there, and nothing was learnt."""
        return not self.in_progress and not self.queue and self.concurrency == ConcurrencyLimit()

    async def acquire(self) -> int:
        """Wait for a place; the company found there, oneself included."""
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.queue.append(waiter)
        self._grant()
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # its turn had just come
                self.release()
            raise

    def release(self) -> None:
        """Make room for the next."""
        self.in_progress -= 1
        self._grant()

    def _grant(self) -> None:
        while self.queue and self.in_progress < self.concurrency.limit:
            waiter = self.queue.popleft()
            if not waiter.cancelled():  # whoever gave up waiting is still in the queue
                self.in_progress += 1
                waiter.set_result(self.in_progress)


@dataclass(frozen=True, slots=True)
class LoginSlot:
    """One handshake that is under way, and a word on how it went. company: see Allowance."""

    slots: ServerSlots
    in_flight: int

    def succeeded(self) -> None:
        """The login is done."""
        self.slots.concurrency = self.slots.concurrency.on_success(self.in_flight)

    def rejected(self) -> str:
        """The server hung up before it had said who it is. What is news of that, or nothing."""
        before = self.slots.concurrency.limit
        self.slots.concurrency = self.slots.concurrency.on_rejected(self.in_flight)
        after = self.slots.concurrency.limit
        if after == before:
            return ""
        return (
            f"hung up on one of {self.in_flight} that came at once; from now on {after} at a time"
        )


@dataclass(slots=True)
class LoginLimiter:
    """The handshakes under way, by host name and port."""

    _servers: dict[Server, ServerSlots] = field(default_factory=dict)

    @asynccontextmanager
    async def acquire(self, server: Server) -> AsyncIterator[LoginSlot]:
        """Wait for a place in the queue to a server, and keep it while the body runs."""
        slots = self._servers.setdefault(server, ServerSlots())
        try:
            in_flight = await slots.acquire()
            try:
                yield LoginSlot(slots, in_flight)
            finally:
                slots.release()
        finally:
            if slots.is_unused and self._servers.get(server) is slots:
                del self._servers[server]
