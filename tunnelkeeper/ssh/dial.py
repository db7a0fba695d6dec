"""A TCP connection to the first address that answers: resolve, then a staggered race.

RFC 8305 (Happy Eyeballs): an address that goes nowhere delays the next by a fraction of a second,
not by its whole timeout. Nothing here knows SSH.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.tunnels import AddressFamily

STAGGER = 0.25
"""Seconds between the starts of two attempts (RFC 8305 section 5, Connection Attempt Delay)."""

TCP_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
UNSENT = 512 * 1024
"""Bytes that wait in the kernel to be sent for the first time; what is on its way is not counted,
so a fast or long link is filled all the same."""

_LONGEST_USER_TIMEOUT = 2**31 - 1  # milliseconds; the option is an int (tcp(7))

_TCP_RTO_MAX_MS = 44  # linux/tcp.h, since Linux 6.15; Python has no name for it
_CONNECT_AGAIN = 2.0
_SEND_AGAIN = 5.0
_KERNELS_OWN = 120.0
"""Seconds after which the kernel repeats at the latest what nobody acknowledged: the beginning of a
connection, and data; and its own choice (RFC 6298 section 5.5). A network that is back is used that
soon. Data has longer, as a link that is slow and full may take seconds to acknowledge any."""

_MOST_REPEATS = 127
"""Of the beginning of a connection (tcp(7), TCP_SYNCNT): more than fit into connect_timeout."""

FAMILIES: dict[AddressFamily, int] = {
    "any": socket.AF_UNSPEC,
    "inet": socket.AF_INET,
    "inet6": socket.AF_INET6,
}

AddressInfo = tuple[int, int, int, str, tuple[object, ...]]


async def resolve(host: str, port: int, family: AddressFamily) -> list[AddressInfo]:
    """The addresses of a host, its families alternating, the resolver's first choice first.

    Raises socket.gaierror.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(
        host, port, family=FAMILIES[family], type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    return interleaved([tuple(info) for info in found])  # type: ignore[misc]


def interleaved(infos: Sequence[AddressInfo]) -> list[AddressInfo]:
    """The addresses with their families in turn (RFC 8305 section 4)."""
    first = [info for info in infos if info[0] == infos[0][0]]
    others = [info for info in infos if info[0] != infos[0][0]]
    ordered: list[AddressInfo] = []
    for index in range(max(len(first), len(others))):
        ordered += first[index : index + 1] + others[index : index + 1]
    return ordered


async def connect(infos: Sequence[AddressInfo], bind_address: str | None) -> socket.socket:
    """A socket connected to the first of the addresses that answers.

    Raises the first OSError that came where none does.
    """
    race = _Race(bind_address)
    try:
        async with asyncio.TaskGroup() as tasks:
            await race.run(infos, tasks)
    except BaseException:
        race.close()
        raise
    if race.winner is None:
        raise race.errors[0] if race.errors else OSError("the host name has no addresses")
    return race.winner


def limit_unacknowledged(connection: socket.socket, seconds: float) -> None:
    """Let the kernel end a connection whose data was not acknowledged for so long; 0: as it likes.

    Left to itself, Linux sends for about a quarter of an hour (tcp_retries2 in tcp(7)), more and
    more seldom. A system without TCP_USER_TIMEOUT (RFC 5482) is left to itself.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None and seconds:
        milliseconds = min(round(seconds * 1000), _LONGEST_USER_TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, option, milliseconds)
        _repeats_within(connection, _SEND_AGAIN)


def _repeats_within(connection: socket.socket, seconds: float) -> bool:
    """Whether the kernel will repeat at the latest after so many seconds what nobody acknowledged.

    Left to itself it doubles the pause each time, and a connection that outlived an outage stands
    still for as long again. Systems that cannot do otherwise are left to it.
    """
    if sys.platform != "linux":
        return False
    try:
        connection.setsockopt(socket.IPPROTO_TCP, _TCP_RTO_MAX_MS, round(seconds * 1000))
    except OSError:
        return False
    return True


def limit_unsent(connection: socket.socket) -> None:
    """Let the kernel take little more than it can send at once.

    Left to itself, it takes megabytes on the way into a slow network, and what a small channel or
    a keepalive has to say stands behind all of them. A system without TCP_NOTSENT_LOWAT (tcp(7))
    is left to itself.
    """
    if TCP_NOTSENT_LOWAT is not None:
        with suppress(OSError):  # no TCP socket
            connection.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT)


@dataclass(slots=True)
class _Race:
    """The attempts on one host's addresses; the winner is the first that connected."""

    bind_address: str | None
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
            connected = await _connect_one(info, self.bind_address)
        except OSError as error:
            self.errors.append(error)
            return
        if self.winner is None:
            self.winner = connected
        else:
            connected.close()


async def _connect_one(info: AddressInfo, bind_address: str | None) -> socket.socket:
    family, kind, protocol, _, address = info
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        if bind_address is not None:
            await _bind(connection, bind_address)
        if _repeats_within(connection, _CONNECT_AGAIN):
            # Else it would give up after a number of them, which now come sooner.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, _MOST_REPEATS)
        await asyncio.get_running_loop().sock_connect(connection, address)
        # Now, too, it gives up after a number of them, unless it is told a time.
        _repeats_within(connection, _KERNELS_OWN)
    except BaseException:
        connection.close()
        raise
    return connection


async def _bind(connection: socket.socket, bind_address: str) -> None:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            bind_address, 0, family=connection.family, type=socket.SOCK_STREAM
        )
    except socket.gaierror as error:
        # For this family the bind address is none; another family's attempt may still serve.
        raise OSError(f"bind_address {bind_address}: {error.strerror}") from error
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.bind(found[0][4])
