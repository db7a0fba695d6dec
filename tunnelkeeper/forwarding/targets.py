"""Reaching the target of one forwarded connection, from this machine or through SSH."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import printable
from tunnelkeeper.core.forwards import Address, TcpAddress, UnixAddress
from tunnelkeeper.forwarding.socks import Outcome

if TYPE_CHECKING:
    from tunnelkeeper.forwarding.pump import SocketEnd

CONNECT_PATIENCE = 30.0
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


async def connect_here(target: Address, end: SocketEnd) -> None:
    """Connect an end to a target from this machine.

    Raises TargetRefused.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_PATIENCE):
            match target:
                case TcpAddress(host=host, port=port):
                    await loop.create_connection(lambda: end, host, port, happy_eyeballs_delay=0.25)
                case UnixAddress(path=path):
                    await loop.create_unix_connection(lambda: end, _expanded(path))
    except socket.gaierror as error:
        words = f"{target}: {printable(error.strerror or str(error))}"
        raise TargetRefused(Outcome.HOST_UNREACHABLE, words) from error
    except TimeoutError as error:
        words = f"{target}: no answer within {CONNECT_PATIENCE:.0f} s"
        raise TargetRefused(Outcome.TTL_EXPIRED, words) from error
    except (OSError, UnicodeError, OverflowError, ValueError) as error:
        number = _number_of(error)
        words = os.strerror(number) if number else printable(str(error))
        outcome = _OUTCOMES.get(number, Outcome.GENERAL_FAILURE)
        raise TargetRefused(outcome, f"{target}: {words}") from error


def _expanded(path: str) -> str:
    """Raises OSError."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError as error:
        raise OSError(errno.ENOENT, str(error)) from error


def _number_of(error: Exception) -> int:
    """The errno of a failure, or 0; asyncio tells those of several addresses in one text."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = re.search(r"\[Errno (\d+)\]", str(error))
    return int(found[1]) if found else 0


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
