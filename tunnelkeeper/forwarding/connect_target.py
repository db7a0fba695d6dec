"""Connects to the target of one forwarded connection from this machine, never through SSH."""

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
from tunnelkeeper.net.error_text import os_error_text
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
"""Seconds a target may take to accept a connection while a client on the far side waits."""


async def connect_endpoint(target: Address, endpoint: SocketEndpoint) -> None:
    """Connect an endpoint to a target.

    Raises ConnectError.
    """
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            connection = await _connect(target)
    except socket.gaierror as error:
        message = f"{target}: {os_error_text(error)}"
        raise ConnectError(Reason.HOST_UNREACHABLE, message) from error
    except TimeoutError as error:
        message = f"{target}: no answer within {CONNECT_TIMEOUT:.0f} s"
        raise ConnectError(Reason.TIMED_OUT, message) from error
    except (OSError, UnicodeError, OverflowError, ValueError) as error:
        number = getattr(error, "errno", None) or 0
        message = os.strerror(number) if number else printable(str(error))
        raise ConnectError(reason_from_errno(number), f"{target}: {message}") from error
    try:
        StreamTransport(asyncio.get_running_loop(), connection, endpoint, connection.getpeername())
    except OSError as error:  # the target has already reset the connection
        connection.close()
        raise ConnectError(Reason.FAILED, f"{target}: {error.strerror}") from error


async def _connect(target: Address) -> socket.socket:
    match target:
        case TcpAddress(host=host, port=port):
            connection = await connect_first(await resolve(host, port), connect_address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        case UnixAddress(path=path):
            return await connect_socket(socket.AF_UNIX, _expand_home(path))


def _expand_home(path: str) -> str:
    """Expand a leading `~`.

    Raises OSError.
    """
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError as error:
        raise OSError(errno.ENOENT, str(error)) from error
