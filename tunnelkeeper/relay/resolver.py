"""Host name lookups for clients of the relay, with limits for each client and for all.

A lookup whose name servers do not answer blocks its thread for a minute, so it runs in a daemon
thread: the few threads of the event loop stay free, and the program can exit.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.happy_eyeballs import ensure_descriptors
from tunnelkeeper.net.thread_executor import DaemonThreads
from tunnelkeeper.relay import addresses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.shares import Holder
    from tunnelkeeper.relay.budgets import SharedBudget

MAX_LOOKUPS = 8
"""Concurrent lookups of one client; its other requests wait."""

_THREADS = DaemonThreads()


class Resolver:
    """Resolves names for one client. budget: for all clients. holders: whose share is used."""

    def __init__(self, budget: SharedBudget, holders: Sequence[Holder]) -> None:
        self._budget = budget
        self._holders = holders
        self._lookup_slots = asyncio.Semaphore(MAX_LOOKUPS)

    async def addresses_of(self, host: str) -> list[str]:
        """Resolve a host; return its addresses in the order to try them.

        Raises ConnectError, and OSError with one of EXHAUSTION_ERRNOS.
        """
        with suppress(ValueError):
            return [str(addresses.parse(host))]
        async with self._lookup_slots:
            try:
                return await self._look_up(host)
            except (OSError, ValueError) as error:  # ValueError: the IDNA codec rejects the name
                if isinstance(error, socket.gaierror):
                    ensure_descriptors(error)
                elif isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS:
                    raise
                message = f"{printable(host, 80)}: {printable(_error_message(error))}"
                raise ConnectError(Reason.HOST_UNREACHABLE, message) from error

    async def _look_up(self, host: str) -> list[str]:
        refusal = self._budget.take(self._holders)
        if refusal is not None:
            raise ConnectError(Reason.RESOURCE_SHORTAGE, refusal)
        try:
            lookup = asyncio.get_running_loop().run_in_executor(_THREADS, look_up, host)
        except BaseException:
            self._budget.give_back(self._holders)
            raise

        def give_back(ended: asyncio.Future[list[str]]) -> None:
            self._budget.give_back(self._holders)
            if not ended.cancelled():
                ended.exception()  # asyncio logs one that is not retrieved, as after a disconnect

        lookup.add_done_callback(give_back)
        # A lookup cannot be interrupted: it counts until its thread ends, without its client too.
        return await asyncio.shield(lookup)


def look_up(host: str) -> list[str]:
    """Return the addresses of a host; may block for a minute.

    Raises OSError, ValueError.
    """
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def _error_message(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
