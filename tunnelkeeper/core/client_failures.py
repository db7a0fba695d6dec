"""The clients of one forward that could not be served. It has no clock and keeps no client."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.failures import Cause, Failure

if TYPE_CHECKING:
    from tunnelkeeper.core.forward_spec import Address

_PERMISSION_HINT = (
    "the server's sshd_config (AllowTcpForwarding, AllowStreamLocalForwarding, DisableForwarding, "
    "PermitOpen) or the options of our key in its authorized_keys (restrict, permitopen) forbid it"
)

_SUPPORT_HINT = "not every SSH server forwards to every kind of target, such as Unix sockets"


@dataclass(frozen=True, slots=True)
class ClientFailures:
    """Consecutive clients that failed.

    count: how many, without one that was served in between. message: that of the last one. at: its
    time, in ISO 8601.
    has_recovered: whether a client was served since.
    """

    count: int
    at: str
    message: str
    has_recovered: bool = False


def after_failure(before: ClientFailures | None, message: str, at: str) -> ClientFailures:
    """Return the record after one more failed client."""
    count = 0 if before is None or before.has_recovered else before.count
    return ClientFailures(count + 1, at, message)


def after_success(before: ClientFailures | None) -> ClientFailures | None:
    """Return the record after a client that was served."""
    if before is None or before.has_recovered:
        return before
    return replace(before, has_recovered=True)


def denial(target: Address, error: ConnectError) -> Failure:
    """Return the failure of a forward whose channels the server refuses to open."""
    if error.reason is Reason.NOT_PERMITTED:
        message = f"the server does not permit connections to {target}: {error}"
        return Failure(Cause.FORWARD_DENIED, message, "", _PERMISSION_HINT)
    message = f"the server does not support connections to {target}: {error}"
    return Failure(Cause.FORWARD_DENIED, message, "", _SUPPORT_HINT)
