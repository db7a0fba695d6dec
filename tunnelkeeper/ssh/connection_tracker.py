"""Reaction of connections and attempts to a resume from suspend or a change of network.

A live connection is probed. An attempt that can no longer succeed restarts with its full timeout
instead of waiting for an answer that will not come.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tunnelkeeper.ssh.connection import Connection


class NetworkChangedError(Exception):
    """Raised when the network changes during an attempt."""


class Attempt(Protocol):
    """An attempt that connects from this machine itself, not through a jump host."""

    @property
    def local_address(self) -> str | None:
        """The address that it connects from, or None before it is connected."""


@dataclass(slots=True)
class ConnectionTracker:
    """The connections and attempts of a process.

    Attributes:
        connections: The live connections, weakly referenced; some may have ended.
    """

    connections: WeakSet[Connection] = field(default_factory=WeakSet)
    _attempts: dict[asyncio.Timeout, Attempt] = field(default_factory=dict)

    def network_changed(self, present: frozenset[str] | None) -> None:
        """Probe every connection, and restart attempts that can no longer succeed.

        Args:
            present: The addresses of this machine, or None after a suspend, when no peer answers
                what was begun before.
        """
        for connection in list(self.connections):
            connection.probe()
        now = asyncio.get_running_loop().time()
        for scope, attempt in self._attempts.items():
            address = attempt.local_address
            if present is None or address is None or address not in present:
                scope.reschedule(now)

    @asynccontextmanager
    async def restart_on_network_change(self, attempt: Attempt) -> AsyncIterator[None]:
        """Cancel the body when the network changes under the attempt.

        Raises:
            NetworkChangedError: The body was cancelled; start it again.
        """
        scope = asyncio.timeout(None)
        self._attempts[scope] = attempt
        try:
            async with scope:
                yield
        except TimeoutError as error:
            if scope.expired():
                raise NetworkChangedError from error
            raise
        finally:
            del self._attempts[scope]
