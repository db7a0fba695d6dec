"""TCP connections to servers, and their socket options.

The options set the local address, how soon the kernel retransmits, when it gives up, and how much
unsent data it accepts. Nothing here knows SSH.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import psutil
from msgspec import Struct

from tunnelkeeper.net import happy_eyeballs
from tunnelkeeper.net.happy_eyeballs import connect_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.configuration import AddressFamily
    from tunnelkeeper.net.happy_eyeballs import AddressInfo

TCP_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
UNSENT_LIMIT = 512 * 1024
"""Bytes in the kernel that were never sent. Data in flight does not count, so that a fast or long
link is still filled."""

_MAX_USER_TIMEOUT = 2**31 - 1  # milliseconds; the option is an int (tcp(7))

_TCP_RTO_MAX_MS = 44  # linux/tcp.h, since Linux 6.15; Python has no name for it
_CONNECT_RTO_MAX = 2.0
_DATA_RTO_MAX = 5.0
_DEFAULT_RTO_MAX = 120.0
"""The longest retransmission timeout in seconds: for SYN packets, for data, and the default (RFC
6298 section 5.5). After an outage, a connection idles for at most that long. Data has a longer
timeout because a slow and full link may take seconds to acknowledge it."""

_SYN_RETRIES = 127
"""SYN retransmissions (tcp(7), TCP_SYNCNT): more than fit into connect_timeout."""

FAMILIES: dict[AddressFamily, int] = {
    "any": socket.AF_UNSPEC,
    "inet": socket.AF_INET,
    "inet6": socket.AF_INET6,
}


async def resolve(host: str, port: int, family: AddressFamily) -> list[AddressInfo]:
    """Return the addresses of a host in the order to try them: families alternate (RFC 8305).

    Raises socket.gaierror.
    """
    return await happy_eyeballs.resolve(host, port, FAMILIES[family])


class Source(Struct, frozen=True):
    """Where a connection starts: BindAddress and BindInterface of ssh_config(5), if set."""

    address: str | None = None
    interface: str | None = None


ANY_SOURCE = Source()


async def connect(infos: Sequence[AddressInfo], source: Source = ANY_SOURCE) -> socket.socket:
    """Connect to the first of the addresses that answers; return the socket.

    Raises the first OSError if no attempt succeeds.
    """
    return await connect_first(infos, partial(_connect_to, source=source))


def limit_unacknowledged(connection: socket.socket, seconds: float) -> None:
    """Let the kernel close a connection whose data stays unacknowledged; 0: keep its default.

    By default, Linux retransmits for about 15 minutes at growing intervals (tcp_retries2 in
    tcp(7)). A system without TCP_USER_TIMEOUT (RFC 5482) keeps its default.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None and seconds:
        milliseconds = min(round(seconds * 1000), _MAX_USER_TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, option, milliseconds)
        _set_rto_max(connection, _DATA_RTO_MAX)


def _set_rto_max(connection: socket.socket, seconds: float) -> bool:
    """Set the longest retransmission timeout; return whether the system supports that.

    By default the timeout doubles each time, so a connection that survives an outage then idles
    for as long again.
    """
    if sys.platform != "linux":
        return False
    try:
        connection.setsockopt(socket.IPPROTO_TCP, _TCP_RTO_MAX_MS, round(seconds * 1000))
    except OSError:
        return False
    return True


def set_traffic_class(connection: socket.socket, value: int) -> None:
    """Set the type of service (IPv4) or traffic class (IPv6) of what is sent from now on."""
    with suppress(OSError):  # not an IP socket
        if connection.family == socket.AF_INET6:
            connection.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, value)
        else:
            connection.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, value)


def limit_unsent(connection: socket.socket) -> None:
    """Let the kernel accept little more data than it can send at once.

    By default it accepts megabytes for a slow network, and the data of a small channel or a
    keepalive waits behind all of them. A system without TCP_NOTSENT_LOWAT (tcp(7)) keeps its
    default.
    """
    if TCP_NOTSENT_LOWAT is not None:
        with suppress(OSError):  # not a TCP socket
            connection.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_LIMIT)


async def _connect_to(info: AddressInfo, source: Source) -> socket.socket:
    family, kind, protocol, _, address = info
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        if source.address is not None:
            await _bind(connection, source.address)
        elif source.interface is not None:
            await _bind(connection, address_of_interface(source.interface, family))
        if _set_rto_max(connection, _CONNECT_RTO_MAX):
            # The default number of SYNs would be used up too soon, as they are closer together.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, _SYN_RETRIES)
        await asyncio.get_running_loop().sock_connect(connection, address)
        # Data retransmissions are counted, too, unless TCP_USER_TIMEOUT sets a time.
        _set_rto_max(connection, _DEFAULT_RTO_MAX)
    except BaseException:
        connection.close()
        raise
    return connection


def address_of_interface(interface: str, family: int) -> str:
    """Return the address of an interface that a connection starts from.

    As in ssh, a loopback or link-local address is used only if there is no other one.

    Raises OSError.
    """
    addresses = [
        entry.address
        for entry in psutil.net_if_addrs().get(interface, [])
        if entry.family == family
    ]
    if not addresses:
        name = "IPv4" if family == socket.AF_INET else "IPv6"
        message = f"bind_interface: the interface {interface} has no {name} address"
        raise OSError(errno.EADDRNOTAVAIL, message)

    def is_local(text: str) -> bool:
        address = ipaddress.ip_address(text.partition("%")[0])
        return address.is_loopback or (address.version == 6 and address.is_link_local)

    return next((address for address in addresses if not is_local(address)), addresses[0])


async def _bind(connection: socket.socket, bind_address: str) -> None:
    try:
        found = await happy_eyeballs.look_up(
            bind_address, 0, family=connection.family, type=socket.SOCK_STREAM
        )
    except socket.gaierror as error:
        # The bind address is not of this family; an attempt of another family may still succeed.
        raise OSError(f"bind_address {bind_address}: {error.strerror}") from error
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.bind(found[0][4])
