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

    allowance: ConcurrencyLimit = field(default_factory=ConcurrencyLimit)
    inside: int = 0
    queue: deque[asyncio.Future[int]] = field(default_factory=deque)

    @property
    def is_forgettable(self) -> bool:
        """Whether nobody is there, and nothing was learnt."""
        return not self.inside and not self.queue and self.allowance == ConcurrencyLimit()

    async def enter(self) -> int:
        """Wait for a place; the company found there, oneself included."""
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.queue.append(turn)
        self._let_in()
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # its turn had just come
                self.leave()
            raise

    def leave(self) -> None:
        """Make room for the next."""
        self.inside -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self.queue and self.inside < self.allowance.limit:
            turn = self.queue.popleft()
            if not turn.cancelled():  # whoever gave up waiting is still in the queue
                self.inside += 1
                turn.set_result(self.inside)


@dataclass(frozen=True, slots=True)
class LoginSlot:
    """One handshake that is under way, and a word on how it went. company: see Allowance."""

    door: ServerSlots
    in_flight: int

    def succeeded(self) -> None:
        """The login is done."""
        self.door.allowance = self.door.allowance.on_success(self.in_flight)

    def rejected(self) -> str:
        """The server hung up before it had said who it is. What is news of that, or nothing."""
        before = self.door.allowance.limit
        self.door.allowance = self.door.allowance.on_rejected(self.in_flight)
        now = self.door.allowance.limit
        if now == before:
            return ""
        return f"hung up on one of {self.in_flight} that came at once; from now on {now} at a time"


@dataclass(slots=True)
class LoginLimiter:
    """The handshakes under way, by host name and port."""

    _doors: dict[Server, ServerSlots] = field(default_factory=dict)

    @asynccontextmanager
    async def acquire(self, server: Server) -> AsyncIterator[LoginSlot]:
        """Wait for a place in the queue to a server, and keep it while the body runs."""
        door = self._doors.setdefault(server, ServerSlots())
        try:
            company = await door.enter()
            try:
                yield LoginSlot(door, company)
            finally:
                door.leave()
        finally:
            if door.is_forgettable and self._doors.get(server) is door:
                del self._doors[server]
