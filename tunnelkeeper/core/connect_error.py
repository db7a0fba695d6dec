"""Why a target could not be connected, in terms that no protocol owns.

Each protocol translates these reasons at its own edge: forwarding.socks into the REP field of a
SOCKS reply, relay.transport into the reason code of SSH_MSG_CHANNEL_OPEN_FAILURE. This module
knows neither.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from enum import Enum


class Reason(Enum):
    """The reason for a failed connect. The value is a phrase for messages."""

    REFUSED = "connection refused"
    """The target's host answered: nothing listens there."""

    NETWORK_UNREACHABLE = "network unreachable"
    HOST_UNREACHABLE = "host unreachable"
    """There is no route to the host, or its name does not resolve."""

    TIMED_OUT = "timed out"

    NOT_PERMITTED = "not permitted"
    """A policy forbids the target: of the SSH server, of a relay, or of this machine."""

    RESOURCE_SHORTAGE = "resource shortage"
    """The SSH server or this machine lacks memory, descriptors or channels; try again later."""

    FAILED = "failed"
    """Any other reason. An SSH server that does not know the channel type counts here."""


_REASONS = {
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.ENETUNREACH: Reason.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: Reason.HOST_UNREACHABLE,
    errno.ETIMEDOUT: Reason.TIMED_OUT,
    errno.EACCES: Reason.NOT_PERMITTED,
    errno.EPERM: Reason.NOT_PERMITTED,
    errno.EMFILE: Reason.RESOURCE_SHORTAGE,
    errno.ENFILE: Reason.RESOURCE_SHORTAGE,
    errno.ENOMEM: Reason.RESOURCE_SHORTAGE,
    errno.ENOBUFS: Reason.RESOURCE_SHORTAGE,
}


def reason_from_errno(number: int) -> Reason:
    """Return the reason that an errno of connect(2) stands for."""
    return _REASONS.get(number, Reason.FAILED)


class ConnectError(Exception):
    """Raised when a target cannot be connected.

    reason is for code, which must not parse the message; the message is for logs and users.
    is_denied: the SSH server forbids the connection, or supports none of its kind. It did not try.
    """

    def __init__(self, reason: Reason, message: str, *, is_denied: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.is_denied = is_denied


OnError = Callable[[ConnectError], None]
"""Called with the reason why no channel was opened."""
