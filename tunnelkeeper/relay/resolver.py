"""Looks host names up for clients, each lookup in a thread that holds nothing else up.

A name whose servers do not answer blocks its thread for a minute; the threads of the event loop
are few, and the program could not end before them.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.text import printable
from tunnelkeeper.relay import addresses

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKUPS_AT_ONCE = 8
"""Threads that one client can keep busy; its other requests wait their turn."""


class Resolver:
    """Looks names up for one client."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    async def addresses_of(self, host: str) -> list[str]:
        """The addresses of a host, in the order they should be tried.

        Raises ConnectError.
        """
        with suppress(ValueError):
            return [str(addresses.parse(host))]
        async with self._turns:
            try:
                return await _in_a_thread(lambda: _look_up(host))
            except (OSError, ValueError) as error:  # ValueError: what IDNA makes of odd names
                words = f"{printable(host, 80)}: {printable(_words(error))}"
                raise ConnectError(Reason.HOST_UNREACHABLE, words) from error


def _look_up(host: str) -> list[str]:
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


async def _in_a_thread(work: Callable[[], list[str]]) -> list[str]:
    """The result of a call that blocks; the thread is left alone if nobody waits any more."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[str]] = loop.create_future()

    def settle(result: list[str] | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result or [])

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  it belongs to whoever waits
            failure = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="lookup", daemon=True).start()
    return await future
