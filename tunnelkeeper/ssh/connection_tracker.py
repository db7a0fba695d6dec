"""What a move of this machine, a wake or another network, means for connections and attempts.

A live connection is asked whether its server is still there. An attempt that cannot succeed any
more begins again, with all of its time, instead of waiting for an answer that will not come.
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
    """The machine moved under an attempt."""


class Attempt(Protocol):
    """One that goes out from this machine itself: what a jump host carries is the jump host's."""

    @property
    def local_address(self) -> str | None:
        """The address that it connects from; None: it is not connected yet."""


@dataclass(slots=True)
class ConnectionTracker:
    """connections: those that live, or have ended not long ago; nothing is kept for their sake."""

    connections: WeakSet[Connection] = field(default_factory=WeakSet)
    _attempts: dict[asyncio.Timeout, Attempt] = field(default_factory=dict)

    def network_changed(self, present: frozenset[str] | None) -> None:
        """Ask every connection, and let attempts begin again that have to.

        present: the addresses that this machine has now; None: it slept, and nobody still answers
        to what was begun before.
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
        """Cut the body off when a move overtakes the attempt.

        Raises Overtaken then.
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
