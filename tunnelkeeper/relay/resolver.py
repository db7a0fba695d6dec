"""Host name lookups for clients of the relay, with a limit for each client.

A lookup whose name servers do not answer blocks its thread for a minute, so it runs in a daemon
thread: the few threads of the event loop stay free, and the program can exit.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.thread_executor import DaemonThreads
from tunnelkeeper.relay import addresses

MAX_LOOKUPS = 8
"""Threads that one client can keep busy; its other requests wait their turn."""

_THREADS = DaemonThreads()


class Resolver:
    """Looks names up for one client."""

    def __init__(self) -> None:
        self._limit_lookups = asyncio.Semaphore(MAX_LOOKUPS)

    async def addresses_of(self, host: str) -> list[str]:
        """The addresses of a host, in the order they should be tried.

        Raises ConnectError.
        """
        with suppress(ValueError):
            return [str(addresses.parse(host))]
        async with self._limit_lookups:
            try:
                return await asyncio.get_running_loop().run_in_executor(_THREADS, _look_up, host)
            except (OSError, ValueError) as error:  # ValueError: what IDNA makes of odd names
                message = f"{printable(host, 80)}: {printable(_error_message(error))}"
                raise ConnectError(Reason.HOST_UNREACHABLE, message) from error


def _look_up(host: str) -> list[str]:
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def _error_message(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
