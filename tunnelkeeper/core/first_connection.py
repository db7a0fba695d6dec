"""Whether a tunnel has come up, or cannot by itself, for the command that opened it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tunnelkeeper.core.failures import Cause

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import TunnelSnapshot

Reason = Literal["failed", "timed_out", "time_passed", "stopped", "interrupted", "terminated"]
"""Why the command ends.

failed: the tunnel cannot come up. timed_out: it has not, in time. time_passed: its own time.
stopped: another command has ended it. interrupted, terminated: by SIGINT, by SIGTERM.
"""

LISTEN_CAUSES = frozenset({Cause.LOCAL_PORT_BUSY, Cause.REMOTE_PORT_BUSY, Cause.FORWARD_DENIED})
"""Why a forward does not listen. ssh -o ExitOnForwardFailure=yes ends for the same reasons."""


def has_come_up(tunnel: TunnelSnapshot) -> bool:
    """Return whether a tunnel is connected and all its forwards listen."""
    return tunnel.state in {"up", "degraded"} and not _has_deaf_forward(tunnel)


def cannot_come_up(tunnel: TunnelSnapshot) -> bool:
    """Return whether a tunnel that was never up needs a person first.

    The server refuses the login or has another host key, or a forward cannot listen. After a
    failure of the network it tries again by itself.
    """
    return tunnel.state == "blocked" or _has_deaf_forward(tunnel)


def _has_deaf_forward(tunnel: TunnelSnapshot) -> bool:
    failures = (forward.failure for forward in tunnel.forwards)
    return any(failure is not None and failure.cause in LISTEN_CAUSES for failure in failures)
