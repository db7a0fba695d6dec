"""Whether a name is a host as well: names that resolve on the relay are not given to clients.

The lookup is bounded in time and number. A lookup without an answer does not refuse the name: the
relay never resolves a single label that a client could listen on, so it cannot take connections
that are meant for a host, and boxes must come back while a name server is down.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from functools import partial
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.net.thread_executor import DaemonThreads
from tunnelkeeper.relay import resolver
from tunnelkeeper.relay.policy import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKUP_TIMEOUT = 2.0
"""Seconds to wait for an answer. A box that reconnects waits as long for its name."""

MAX_LOOKUPS = 16
"""Concurrent lookups of all clients. Each may occupy a thread for a minute (resolv.conf(5))."""

_THREADS = DaemonThreads()

log = logging.getLogger(__name__)


class HostNames:
    """Looks names up, each at most once at a time. look_up: returns the addresses of a host."""

    def __init__(self, look_up: Callable[[str], list[str]] | None = None) -> None:
        self._look_up = look_up or resolver.look_up
        self._pending: dict[str, asyncio.Future[list[str]]] = {}

    async def check(self, name: str) -> Refusal | None:
        """Refuse a name that resolves on this machine."""
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                found = await self._addresses_of(name)
                # In a search domain with a wildcard record, every label has an address.
                if found and not found.intersection(
                    await self._addresses_of(f"no-such-host-{secrets.token_hex(8)}")
                ):
                    message = f"{name} is a host, {printable(min(found), 60)}, for the relay"
                    return Refusal(f"{message}, so no client can listen on this name")
        except TimeoutError:
            log.info("%s: no name server has answered whether it is a host", name)
        return None

    async def _addresses_of(self, name: str) -> frozenset[str]:
        """Return the addresses of a host; empty if it does not resolve."""
        lookup = self._pending.get(name)
        if lookup is None:
            if len(self._pending) >= MAX_LOOKUPS:
                raise TimeoutError
            lookup = asyncio.get_running_loop().run_in_executor(_THREADS, self._look_up, name)
            self._pending[name] = lookup
            lookup.add_done_callback(partial(self._forget, name))
        try:
            return frozenset(await asyncio.shield(lookup))
        except (OSError, ValueError):  # ValueError: the IDNA codec rejects the name
            return frozenset()

    def _forget(self, name: str, lookup: asyncio.Future[list[str]]) -> None:
        del self._pending[name]
        if not lookup.cancelled():
            lookup.exception()  # asyncio logs an exception that is not retrieved
