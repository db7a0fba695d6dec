"""Happy Eyeballs (RFC 8305): resolve a host and connect to the first address that answers.

An address that does not answer delays the next attempt by a fraction of a second, not by its whole
timeout. The caller decides how an attempt connects.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from tunnelkeeper.net.fd_limits import are_exhausted

if TYPE_CHECKING:
    from collections.abc import Sequence

STAGGER = 0.25
"""Seconds between the starts of two attempts (RFC 8305 section 5, Connection Attempt Delay)."""

AddressInfo = tuple[int, int, int, str, tuple[object, ...]]

Attempt = Callable[[AddressInfo], Awaitable[socket.socket]]
"""Returns a connected, non-blocking socket or raises OSError. If cancelled, it leaves none open."""


async def resolve(host: str, port: int, family: int = socket.AF_UNSPEC) -> list[AddressInfo]:
    """Return the addresses of a host; families alternate, the resolver's first choice leads.

    Raises what `look_up` raises.
    """
    kind = socket.SOCK_STREAM, socket.IPPROTO_TCP
    if _is_ip_address(host):  # no server is asked, so it cannot block
        found = socket.getaddrinfo(host, port, family, *kind)
    else:
        found = await look_up(host, port, family=family, type=kind[0], proto=kind[1])
    return interleave([tuple(info) for info in found])  # type: ignore[misc]


async def look_up(host: str, port: int, **hints: int) -> list[Any]:
    """Return the result of getaddrinfo(3), which runs in a thread.

    Raises socket.gaierror, also for a name that cannot be sent to a name server, and OSError with
    one of EXHAUSTION_ERRNOS.
    """
    try:
        return await asyncio.get_running_loop().getaddrinfo(host, port, **hints)
    except UnicodeError:  # Python's IDNA codec: an empty or too long part, or a forbidden character
        raise socket.gaierror(socket.EAI_NONAME, "it is not a valid host name") from None
    except socket.gaierror as error:
        ensure_descriptors(error)
        raise


def ensure_descriptors(error: socket.gaierror) -> None:
    """Raise OSError (EMFILE) if a lookup failed for lack of descriptors.

    getaddrinfo(3) then reports an unknown name or a name server without an answer.
    """
    if are_exhausted():
        raise OSError(errno.EMFILE, "no descriptor to ask a name server through") from error


def _is_ip_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def interleave(infos: Sequence[AddressInfo]) -> list[AddressInfo]:
    """Return the addresses with alternating families (RFC 8305 section 4)."""
    first = [info for info in infos if info[0] == infos[0][0]]
    others = [info for info in infos if info[0] != infos[0][0]]
    ordered: list[AddressInfo] = []
    for index in range(max(len(first), len(others))):
        ordered += first[index : index + 1] + others[index : index + 1]
    return ordered


async def connect_first(infos: Sequence[AddressInfo], attempt: Attempt) -> socket.socket:
    """Connect to the first of the addresses that answers; return the socket.

    Raises the first OSError if no attempt succeeds.
    """
    if len(infos) == 1:
        return await attempt(infos[0])
    race = _Race(attempt)
    try:
        async with asyncio.TaskGroup() as tasks:
            await race.run(infos, tasks)
    except BaseException:
        race.close()
        raise
    if race.winner is None:
        raise race.errors[0] if race.errors else OSError("the host name has no addresses")
    return race.winner


async def connect_address(info: AddressInfo) -> socket.socket:
    """Connect to an address without socket options."""
    return await connect_socket(info[0], info[4])


async def connect_socket(family: int, address: str | tuple[object, ...]) -> socket.socket:
    """Return a connected, non-blocking stream socket.

    Raises OSError.
    """
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


@dataclass(slots=True)
class _Race:
    """The attempts for one host; the winner is the first connected socket."""

    attempt: Attempt
    winner: socket.socket | None = None
    errors: list[OSError] = field(default_factory=list)

    async def run(self, infos: Sequence[AddressInfo], tasks: asyncio.TaskGroup) -> None:
        pending: set[asyncio.Task[None]] = set()
        waiting = list(infos)
        while self.winner is None and (waiting or pending):
            if waiting:
                pending.add(tasks.create_task(self._attempt(waiting.pop(0))))
            _, pending = await asyncio.wait(
                pending,
                timeout=STAGGER if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
        for loser in pending:
            loser.cancel()

    def close(self) -> None:
        if self.winner is not None:
            self.winner.close()

    async def _attempt(self, info: AddressInfo) -> None:
        try:
            connected = await self.attempt(info)
        except OSError as error:
            self.errors.append(error)
            return
        if self.winner is None:
            self.winner = connected
        else:
            connected.close()
