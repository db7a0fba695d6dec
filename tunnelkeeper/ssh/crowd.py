"""A few handshakes at a time to one server: many tunnels coming back must not look like a flood.

sshd drops connections at random once ten are waiting to log in (MaxStartups 10:30:100).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT_ONCE = 6

Server = tuple[str, int]


@dataclass(slots=True)
class Crowd:
    """The handshakes under way, by host name and port."""

    _places: dict[Server, asyncio.Semaphore] = field(default_factory=dict)
    _guests: dict[Server, int] = field(default_factory=dict)

    @asynccontextmanager
    async def place(self, server: Server) -> AsyncIterator[None]:
        """Wait for a place in the queue to a server, and keep it while the body runs."""
        places = self._places.setdefault(server, asyncio.Semaphore(AT_ONCE))
        self._guests[server] = self._guests.get(server, 0) + 1
        try:
            async with places:
                yield
        finally:
            self._guests[server] -= 1
            if not self._guests[server]:
                del self._guests[server], self._places[server]
