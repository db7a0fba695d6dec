"""Reaching the target of one forwarded connection, from this machine or through SSH."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.connect_error import ConnectError, Reason, reason_from_errno
from tunnelkeeper.core.forward_spec import Address, TcpAddress, UnixAddress
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.happy_eyeballs import (
    connect_address,
    connect_first,
    connect_socket,
    resolve,
)
from tunnelkeeper.net.stream_transport import StreamTransport

if TYPE_CHECKING:
    from tunnelkeeper.forwarding.pump import SocketEndpoint

CONNECT_TIMEOUT = 30.0
"""Seconds a target on this side may take to accept; a client on the far side is waiting."""


async def connect_here(target: Address, end: SocketEndpoint) -> None:
    """Connect an end to a target from this machine.

    Raises ConnectError.
    """
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            connection = await _connected(target)
    except socket.gaierror as error:
        words = f"{target}: {printable(error.strerror or str(error))}"
        raise ConnectError(Reason.HOST_UNREACHABLE, words) from error
    except TimeoutError as error:
        words = f"{target}: no answer within {CONNECT_TIMEOUT:.0f} s"
        raise ConnectError(Reason.TIMED_OUT, words) from error
    except (OSError, UnicodeError, OverflowError, ValueError) as error:
        number = getattr(error, "errno", None) or 0
        words = os.strerror(number) if number else printable(str(error))
        raise ConnectError(reason_from_errno(number), f"{target}: {words}") from error
    try:
        StreamTransport(asyncio.get_running_loop(), connection, end, connection.getpeername())
    except OSError as error:  # it was reset meanwhile
        connection.close()
        raise ConnectError(Reason.FAILED, f"{target}: {error.strerror}") from error


async def _connected(target: Address) -> socket.socket:
    match target:
        case TcpAddress(host=host, port=port):
            connection = await connect_first(await resolve(host, port), connect_address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        case UnixAddress(path=path):
            return await connect_socket(socket.AF_UNIX, _expanded(path))


def _expanded(path: str) -> str:
    """Raises OSError."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError as error:
        raise OSError(errno.ENOENT, str(error)) from error
