"""Reaching the target of one forwarded connection, from this machine or through SSH."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import Address, TcpAddress, UnixAddress
from tunnelkeeper.core.text import printable
from tunnelkeeper.forwarding.socks import Outcome
from tunnelkeeper.net.happy_eyeballs import (
    connected,
    connected_to,
    first_connected,
    resolve,
)
from tunnelkeeper.net.stream_transport import StreamTransport

if TYPE_CHECKING:
    from tunnelkeeper.forwarding.pump import SocketEndpoint

CONNECT_TIMEOUT = 30.0
"""Seconds a target on this side may take to accept; a client on the far side is waiting."""

_OUTCOMES = {
    errno.ECONNREFUSED: Outcome.CONNECTION_REFUSED,
    errno.ENETUNREACH: Outcome.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: Outcome.HOST_UNREACHABLE,
    errno.ETIMEDOUT: Outcome.TTL_EXPIRED,
    errno.EACCES: Outcome.NOT_ALLOWED,
    errno.EPERM: Outcome.NOT_ALLOWED,
}


class TargetRefused(Exception):
    """The target cannot be reached; outcome is what a SOCKS client is told."""

    def __init__(self, outcome: Outcome, words: str) -> None:
        super().__init__(words)
        self.outcome = outcome


async def connect_here(target: Address, end: SocketEndpoint) -> None:
    """Connect an end to a target from this machine.

    Raises TargetRefused.
    """
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            connection = await _connected(target)
    except socket.gaierror as error:
        words = f"{target}: {printable(error.strerror or str(error))}"
        raise TargetRefused(Outcome.HOST_UNREACHABLE, words) from error
    except TimeoutError as error:
        words = f"{target}: no answer within {CONNECT_TIMEOUT:.0f} s"
        raise TargetRefused(Outcome.TTL_EXPIRED, words) from error
    except (OSError, UnicodeError, OverflowError, ValueError) as error:
        number = getattr(error, "errno", None) or 0
        words = os.strerror(number) if number else printable(str(error))
        outcome = _OUTCOMES.get(number, Outcome.GENERAL_FAILURE)
        raise TargetRefused(outcome, f"{target}: {words}") from error
    try:
        StreamTransport(asyncio.get_running_loop(), connection, end, connection.getpeername())
    except OSError as error:  # it was reset meanwhile
        connection.close()
        raise TargetRefused(Outcome.GENERAL_FAILURE, f"{target}: {error.strerror}") from error


async def _connected(target: Address) -> socket.socket:
    match target:
        case TcpAddress(host=host, port=port):
            connection = await first_connected(await resolve(host, port), connected)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        case UnixAddress(path=path):
            return await connected_to(socket.AF_UNIX, _expanded(path))


def _expanded(path: str) -> str:
    """Raises OSError."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError as error:
        raise OSError(errno.ENOENT, str(error)) from error


def outcome_of_words(words: str) -> Outcome:
    """What a server's own words say of a target it could not reach.

    RFC 4254 has one code for all of these, "connect failed"; the words are sshd's strerror(3).
    """
    lowered = words.lower()
    if "refused" in lowered:
        return Outcome.CONNECTION_REFUSED
    if "network is unreachable" in lowered:
        return Outcome.NETWORK_UNREACHABLE
    if "timed out" in lowered:
        return Outcome.TTL_EXPIRED
    if any(sign in lowered for sign in ("no route", "unknown host", "not known", "resolution")):
        return Outcome.HOST_UNREACHABLE
    return Outcome.GENERAL_FAILURE
