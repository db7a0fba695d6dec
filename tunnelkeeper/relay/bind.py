"""Listening sockets of clients; each accepted connection goes to a callback.

It chooses ports and binds. `policy` has already decided whether the client may.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress
from tunnelkeeper.forwarding.counted_socket import CountedSocket
from tunnelkeeper.net.bind_addresses import bind_addresses
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.net.listener import Listener, ListenError, listen

PORT_ATTEMPTS = 20
"""Attempts to find a free port: one that is free on 127.0.0.1 may be in use on ::1."""

_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

AcceptCallback = Callable[[CountedSocket], None]
"""Takes a connection that a listener has accepted."""


def choose_port(host: str) -> int:
    """Return a port that is free on all addresses of a host. host: as for bind().

    Raises ConnectError.
    """
    failure = OSError(errno.EADDRINUSE, "no free port")
    for _ in range(PORT_ATTEMPTS):
        try:
            return _probe(host, 0)
        except OSError as error:
            failure = error
    raise _refused(TcpAddress(host, 0), failure)


async def bind(
    target: TcpAddress | UnixAddress,
    on_accept: AcceptCallback,
    check: Callable[[], None] | None = None,
) -> Listener:
    """Listen on a path, or on a port of one address, of loopback or of every interface.

    check: of the Acceptor.

    Raises ConnectError.
    """
    try:
        if isinstance(target, TcpAddress):
            # A failed listen() scans all processes for the owner of the port. Probing the port
            # first keeps clients from triggering that scan at will.
            _probe(target.host, target.port)
        return await listen(target, lambda: CountedSocket(on_accept), check=check)
    except OSError as error:
        raise _refused(target, error) from error
    except ListenError as error:
        raise ConnectError(_reason(error.__cause__), error.failure.message) from error


def _probe(host: str, port: int) -> int:
    """Bind a port briefly and return its number; port 0 lets the system choose.

    Raises OSError.
    """
    chosen = port
    for address in bind_addresses(host):
        try:
            with socket.socket(address.family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if address.family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address.host, chosen))
                chosen = probe.getsockname()[1]
        except OSError as error:
            if not (address.is_optional and error.errno in _ABSENT):
                raise
    return chosen


def _refused(target: TcpAddress | UnixAddress, error: OSError) -> ConnectError:
    message = os_error_text(error)
    return ConnectError(_reason(error), f"cannot listen on {target}: {message}")


def _reason(error: BaseException | None) -> Reason:
    """Return the reason for the client: what the system forbids is not held by another client."""
    return Reason.NOT_PERMITTED if isinstance(error, PermissionError) else Reason.FAILED
