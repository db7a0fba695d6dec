"""The log message for each state transition of a tunnel. It only makes text and writes nothing."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.questions import WAITS_FOR_ANSWER
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

if TYPE_CHECKING:
    from tunnelkeeper.tunnel.event_log import Level
    from tunnelkeeper.tunnel.session import Session


class LogMessage(NamedTuple):
    """A message for the log. hint: what to do about it, or empty."""

    level: Level
    text: str
    hint: str = ""


def transition_message(  # noqa: C901, PLR0911  one table, as the lifecycle is
    old: State, new: State, now: float, session: Session | None, last_logged: Failure | None
) -> LogMessage | None:
    """Return the message for a state transition, or None if nothing needs logging.

    Args:
        old: The state before the transition.
        new: The state after it.
        now: The current time in monotonic seconds.
        session: The current session, for the names of its hosts.
        last_logged: The failure that was logged last. The same failure is logged at debug level,
            or it would fill the log while a server is down.
    """
    match old, new:
        case ((Up() | Degraded()), (Up() | Degraded())) if old.replacement != new.replacement:
            return _replacement_message(old.replacement, new.replacement, now, session, last_logged)
        case ((Up() | Degraded()), (Up() | Degraded())) if failure_of(old) == failure_of(new):
            return None  # the gate time has passed
        case Degraded(), Up():
            return LogMessage("info", "every forward works again")
        case (Stopping(), Stopping()) | (Connecting(), Connecting()):
            return None
        case _, Connecting(failure=Failure() as failure):
            text = f"{failure}; another connection is on its way already"
            return LogMessage("warning", text, failure.hint)
        case _, Connecting(attempts=attempts) if attempts.failed:
            return LogMessage("debug", f"connecting, attempt {attempts.failed + 1}")
        case _, Connecting():
            return LogMessage("info", "connecting")
        case _, Up():
            return LogMessage(
                "info", f"up: {_connection_text(session)}{_failed_attempts_suffix(old)}"
            )
        case _, Degraded(failure=failure):
            return LogMessage("warning", f"degraded: {failure}", failure.hint)
        case _, BackingOff(retry_at=retry_at, failure=failure):
            level: Level = "debug" if failure == last_logged else "warning"
            text = f"{failure}; trying again, next in {retry_at - now:.1f} s"
            return LogMessage(level, text, failure.hint)
        case Blocked(), Blocked(retry_at=retry_at):
            return LogMessage("info", f"still blocked; trying again in {retry_at - now:.0f} s")
        case _, Blocked(retry_at=retry_at, failure=failure):
            return LogMessage("error", _blocked_text(failure, retry_at - now), failure.hint)
        case _, Stopping(then_start=True):
            return LogMessage("info", "closing the connection to reconnect")
        case _, Stopped():
            return LogMessage("info", "stopped")
    return None


def asked_message(failure: Failure) -> LogMessage:
    """Return the message for a tunnel whose question a person is being asked."""
    where = f"{failure.hop}: " if failure.hop else ""
    return LogMessage("info", f"{WAITS_FOR_ANSWER}: {where}{failure.message}", failure.hint)


def _replacement_message(
    old: Replacement,
    new: Replacement,
    now: float,
    session: Session | None,
    last_logged: Failure | None,
) -> LogMessage | None:
    match old, new:
        case ReplacementBackoff(), ReplacementConnecting(attempts=attempts):
            return LogMessage("debug", f"replacing the connection, attempt {attempts.failed + 1}")
        case _, ReplacementConnecting():
            return LogMessage("info", "replacing the connection: opening a new one beside it")
        case ReplacementConnecting(), Draining(closes_at=closes_at):
            drain = f"open channels of the old connection have {closes_at - now:.0f} s to finish"
            return LogMessage("info", f"replaced: {_connection_text(session)} takes over; {drain}")
        case _, ReplacementBackoff(retry_at=retry_at, failure=failure):
            level: Level = "debug" if failure == last_logged else "warning"
            outcome = (
                "the connection cannot be replaced, and stays"
                if isinstance(old, ReplacementConnecting)
                else "the new connection ended, and the old one is used again"
            )
            retry = "" if retry_at == inf else f"; trying again in {retry_at - now:.1f} s"
            return LogMessage(level, f"{outcome}: {failure}{retry}", failure.hint)
        case Draining(), Draining():
            message = "the new connection does not carry data: the old one is used again"
            return LogMessage("warning", message)
        case Draining(closes_at=closes_at), Closing() if now >= closes_at:
            return LogMessage(
                "warning", "drain_timeout: closing the open channels of the old connection"
            )
        case _, NoReplacement():
            return LogMessage("info", "the old connection is closed")
    return None


def _blocked_text(failure: Failure, wait: float) -> str:
    if wait < inf:
        return f"blocked: {failure}; trying again in {wait:.0f} s"
    if failure.cause is Cause.TOO_MANY_ATTEMPTS or failure.question:
        return f"blocked: {failure}"
    return str(failure)  # the lifecycle does not decide what happens next


def _connection_text(session: Session | None) -> str:
    if session is None or session.hop_connections is None:
        return "connected"
    hosts = " via ".join(str(host) for host in reversed(session.host_chain))
    return f"{hosts} ({session.hop_connections.connection.cipher})"


def _failed_attempts_suffix(old: State) -> str:
    match old:
        case Connecting(attempts=attempts) if attempts.failed == 1:
            return " after one failed attempt"
        case Connecting(attempts=attempts) if attempts.failed:
            return f" after {attempts.failed} failed attempts"
    return ""
