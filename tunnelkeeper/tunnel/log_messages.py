"""The line of the log for each change of a tunnel's state. Pure text; it writes nothing."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.states import (
    BackingOff,
    Blocked,
    Closing,
    Connecting,
    Degraded,
    Draining,
    NoReplacement,
    Replacement,
    ReplacementBackoff,
    ReplacementConnecting,
    State,
    Stopped,
    Stopping,
    Up,
    failure_of,
)
from tunnelkeeper.core.text import with_hint

if TYPE_CHECKING:
    from tunnelkeeper.tunnel.event_log import Level
    from tunnelkeeper.tunnel.session import Session


def transition_message(  # noqa: C901, PLR0911  one table, as the lifecycle is
    old: State, new: State, now: float, session: Session | None, last_logged: Failure | None
) -> tuple[Level, str] | None:
    """What to write about a change from one state to another; None: nothing new to say.

    now: monotonic seconds. known: the failure that was told last; told again at every attempt, it
    would fill the log while a server is away.
    """
    match old, new:
        case ((Up() | Degraded()), (Up() | Degraded())) if old.replacement != new.replacement:
            return _replacement_message(old.replacement, new.replacement, now, session, last_logged)
        case ((Up() | Degraded()), (Up() | Degraded())) if failure_of(old) == failure_of(new):
            return None  # it is trusted now
        case Degraded(), Up():
            return "info", "every forward works again"
        case (Stopping(), Stopping()) | (Connecting(), Connecting()):
            return None
        case _, Connecting(failure=Failure() as failure):
            return "warning", f"{_failure_text(failure)}; another connection is on its way already"
        case _, Connecting(attempts=tries) if tries.failed:
            return "debug", f"connecting, attempt {tries.failed + 1}"
        case _, Connecting():
            return "info", "connecting"
        case _, Up():
            return "info", f"up: {_connection_text(session)}{_failed_attempts_suffix(old)}"
        case _, Degraded(failure=failure):
            return "warning", f"degraded: {_failure_text(failure)}"
        case _, BackingOff(retry_at=retry_at, failure=failure):
            level: Level = "debug" if failure == last_logged else "warning"
            return level, f"{_failure_text(failure)}; trying again, next in {retry_at - now:.1f} s"
        case Blocked(), Blocked(retry_at=retry_at):
            return "info", f"still blocked; trying again in {retry_at - now:.0f} s"
        case _, Blocked(retry_at=retry_at, failure=failure):
            return "error", _blocked_text(failure, retry_at - now)
        case _, Stopping(then_start=True):
            return "info", "closing, to connect anew"
        case _, Stopped():
            return "info", "stopped"
    return None


def _replacement_message(
    old: Replacement,
    new: Replacement,
    now: float,
    session: Session | None,
    last_logged: Failure | None,
) -> tuple[Level, str] | None:
    match old, new:
        case ReplacementBackoff(), ReplacementConnecting(attempts=tries):
            return "debug", f"replacing the connection, attempt {tries.failed + 1}"
        case _, ReplacementConnecting():
            return "info", "replacing the connection: making another one beside it"
        case ReplacementConnecting(), Draining(closes_at=until):
            left = f"what is open on the one before it may take {until - now:.0f} s more"
            return "info", f"replaced: {_connection_text(session)} takes over; {left}"
        case _, ReplacementBackoff(retry_at=retry_at, failure=failure):
            level: Level = "debug" if failure == last_logged else "warning"
            what = (
                "the connection cannot be replaced, and stays"
                if isinstance(old, ReplacementConnecting)
                else "the new connection ended, and the one before it is used again"
            )
            when = "" if retry_at == inf else f"; trying again in {retry_at - now:.1f} s"
            return level, f"{what}: {_failure_text(failure)}{when}"
        case Draining(), Draining():
            words = "the new connection does not carry data: the one before it is used again"
            return "warning", words
        case Draining(closes_at=until), Closing() if now >= until:
            return "warning", "drain_timeout: what is still open on the old connection is cut off"
        case _, NoReplacement():
            return "info", "the old connection is closed"
    return None


def _blocked_text(failure: Failure, wait: float) -> str:
    if wait < inf:
        return f"blocked: {_failure_text(failure)}; trying again in {wait:.0f} s"
    if failure.cause is Cause.TOO_MANY_ATTEMPTS:
        return f"blocked: {_failure_text(failure)}"
    return _failure_text(failure)  # what follows is not the lifecycle's to say


def _failure_text(failure: Failure) -> str:
    return with_hint(str(failure), failure.hint)


def _connection_text(session: Session | None) -> str:
    if session is None or session.hop_connections is None:
        return "connected"
    hosts = " via ".join(str(host) for host in reversed(session.host_chain))
    return f"{hosts} ({session.hop_connections.connection.cipher})"


def _failed_attempts_suffix(old: State) -> str:
    match old:
        case Connecting(attempts=tries) if tries.failed == 1:
            return " after one failed attempt"
        case Connecting(attempts=tries) if tries.failed:
            return f" after {tries.failed} failed attempts"
    return ""
