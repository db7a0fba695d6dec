"""A TCP connection to a server, and what the kernel is told to do with it.

Where it comes from, how soon the kernel repeats what nobody answered, when it gives up, and how
much it takes that cannot be sent yet. Nothing here knows SSH.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from tunnelkeeper.net import happy_eyeballs
from tunnelkeeper.net.happy_eyeballs import connect_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.configuration import AddressFamily
    from tunnelkeeper.net.happy_eyeballs import AddressInfo

TCP_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
UNSENT_LIMIT = 512 * 1024
"""Bytes that wait in the kernel to be sent for the first time; what is on its way is not counted,
so a fast or long link is filled all the same."""

_MAX_USER_TIMEOUT = 2**31 - 1  # milliseconds; the option is an int (tcp(7))

_TCP_RTO_MAX_MS = 44  # linux/tcp.h, since Linux 6.15; Python has no name for it
_CONNECT_RTO_MAX = 2.0
_DATA_RTO_MAX = 5.0
_DEFAULT_RTO_MAX = 120.0
"""Seconds after which the kernel repeats at the latest what nobody acknowledged: the beginning of a
connection, and data; and its own choice (RFC 6298 section 5.5). A network that is back is used that
soon. Data has longer, as a link that is slow and full may take seconds to acknowledge any."""

_SYN_RETRIES = 127
"""Of the beginning of a connection (tcp(7), TCP_SYNCNT): more than fit into connect_timeout."""

FAMILIES: dict[AddressFamily, int] = {
    "any": socket.AF_UNSPEC,
    "inet": socket.AF_INET,
    "inet6": socket.AF_INET6,
}


async def resolve(host: str, port: int, family: AddressFamily) -> list[AddressInfo]:
    """The addresses of a host, its families alternating, the resolver's first choice first.

    Raises socket.gaierror.
    """
    return await happy_eyeballs.resolve(host, port, FAMILIES[family])


async def connect(infos: Sequence[AddressInfo], bind_address: str | None) -> socket.socket:
    """A socket connected to the first of the addresses that answers.

    Raises the first OSError that came where none does.
    """
    return await connect_first(infos, partial(_connect_to, bind_address=bind_address))


def limit_unacknowledged(connection: socket.socket, seconds: float) -> None:
    """Let the kernel end a connection whose data was not acknowledged for so long; 0: as it likes.

    Left to itself, Linux sends for about a quarter of an hour (tcp_retries2 in tcp(7)), more and
    more seldom. A system without TCP_USER_TIMEOUT (RFC 5482) is left to itself.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None and seconds:
        milliseconds = min(round(seconds * 1000), _MAX_USER_TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, option, milliseconds)
        _set_rto_max(connection, _DATA_RTO_MAX)


def _set_rto_max(connection: socket.socket, seconds: float) -> bool:
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
            connection.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_LIMIT)


async def _connect_to(info: AddressInfo, bind_address: str | None) -> socket.socket:
    family, kind, protocol, _, address = info
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        if bind_address is not None:
            await _bind(connection, bind_address)
        if _set_rto_max(connection, _CONNECT_RTO_MAX):
            # Else it would give up after a number of them, which now come sooner.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, _SYN_RETRIES)
        await asyncio.get_running_loop().sock_connect(connection, address)
        # Now, too, it gives up after a number of them, unless it is told a time.
        _set_rto_max(connection, _DEFAULT_RTO_MAX)
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
