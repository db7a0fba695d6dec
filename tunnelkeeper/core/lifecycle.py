"""The life of a tunnel: what can happen to it in each of its states, and what becomes of it.

The law of this file: everything that decides which state a tunnel is in stands here, in `step`.
It is a pure function; it waits for nothing, and the runner carries out the one command it gives.
Only the end of a session takes it out of the state that holds it, and a second one is only opened
beside one that is connected: a tunnel has two at most, the one in use and one that comes or goes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.core.retry_policy import (
    BLOCKED_MAX_DELAY_AFTER_NETWORK_CHANGE,
    FailedAttempts,
    Retry,
    RetryPolicy,
    retry_after_attempt,
    retry_after_loss,
)
from tunnelkeeper.core.states import (
    NO_REPLACEMENT,
    BackingOff,
    Blocked,
    Closing,
    Connecting,
    Degraded,
    Draining,
    LiveConnection,
    NoReplacement,
    Replacement,
    ReplacementBackoff,
    ReplacementConnecting,
    State,
    Stopped,
    Stopping,
    Up,
    session_count,
)

if TYPE_CHECKING:
    from tunnelkeeper.core.failures import Failure


@dataclass(frozen=True, slots=True)
class Start:
    """Somebody wants it up, now: this also ends a wait."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody wants it down."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Close and connect again, at once."""


@dataclass(frozen=True, slots=True)
class RestartGracefully:
    """Somebody wants a new connection and nobody to notice; without a live one it is a Restart."""


@dataclass(frozen=True, slots=True)
class HostChanged:
    """Its server is to be reached in another way now: as Restart, where somebody wants it up."""


@dataclass(frozen=True, slots=True)
class ConnectionUnhealthy:
    """The live connection does not carry data from end to end: another in its place may."""


@dataclass(frozen=True, slots=True)
class RetryNow:
    """The world changed so that trying again may help: a key file, or the server is back."""


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """The machine woke or is in another network: what was not reached may be reached now."""


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The session is connected. failure: of the first forward that does not listen, if any."""

    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class ForwardsChanged:
    """A forward of the live session failed or recovered. failure: as in Opened."""

    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session is over, whether it ever opened or not."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class ReplacementReady:
    """The second session is connected and could take over."""


@dataclass(frozen=True, slots=True)
class Drained:
    """The last transfer of the second session, which leaves, is done."""


@dataclass(frozen=True, slots=True)
class ReplacementEnded:
    """As Ended, of the second session."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """The time that `deadline` gave has come."""


Event = (
    Start
    | Stop
    | Restart
    | RestartGracefully
    | HostChanged
    | ConnectionUnhealthy
    | RetryNow
    | NetworkChanged
    | SessionOpened
    | ForwardsChanged
    | SessionEnded
    | ReplacementReady
    | Drained
    | ReplacementEnded
    | DeadlineReached
)


class Command(Enum):
    """The one thing to do about a transition."""

    OPEN_SESSION = "open the session"
    OPEN_REPLACEMENT = "open a second session"
    SWITCH_SESSIONS = "let the second session take over; the other, if it lives, is the second then"
    CLOSE_REPLACEMENT = "close the second session"
    CLOSE_ALL = "close every session"


# One table to read from top to bottom: cut into functions, no eye could check it.
def step(  # noqa: C901, PLR0911, PLR0912
    state: State, event: Event, now: float, policy: RetryPolicy
) -> tuple[State, Command | None]:
    """What the tunnel becomes, and the one thing to do about it. `now` is monotonic seconds.

    A pair that is not named here changes nothing, and so does a deadline that comes early: one that
    was already on its way when the state changed.
    """
    match state, event:
        case ((Stopped() | Stopping(then_start=False)), HostChanged()):
            return state, None
        case (
            (Stopped() | BackingOff() | Blocked()),
            (Start() | Restart() | RestartGracefully() | HostChanged()),
        ):
            return Connecting(), Command.OPEN_SESSION
        case ((BackingOff(attempts=tries) | Blocked(attempts=tries)), RetryNow()):
            return _retry_now(state, tries)
        case BackingOff(attempts=tries), NetworkChanged():
            return Connecting(tries), Command.OPEN_SESSION
        case Blocked(retry_at=at), NetworkChanged() if at < inf:
            return replace(
                state, retry_at=min(at, now + BLOCKED_MAX_DELAY_AFTER_NETWORK_CHANGE)
            ), None
        case (
            (BackingOff(attempts=tries, retry_at=at) | Blocked(attempts=tries, retry_at=at)),
            DeadlineReached(),
        ) if now >= at:
            return Connecting(tries), Command.OPEN_SESSION
        case ((BackingOff() | Blocked()), Stop()):
            return Stopped(), None

        case Connecting(attempts=tries, is_unhealthy=useless), SessionOpened(failure=failure):
            life = LiveConnection.opened(tries, now, policy)
            return _connected_state(
                replace(life, expires_at=now) if useless else life, failure
            ), None
        case Connecting(), ConnectionUnhealthy():
            return replace(state, is_unhealthy=True), None
        case Connecting(attempts=tries), SessionEnded(failure=failure):
            return _waiting_state(retry_after_attempt(failure, tries, now, policy)), None

        case ((Connecting() | Up() | Degraded()), Stop()):
            return Stopping(sessions=session_count(state)), Command.CLOSE_ALL
        case ((Connecting() | Up() | Degraded()), (Restart() | HostChanged())):
            return Stopping(then_start=True, sessions=session_count(state)), Command.CLOSE_ALL
        case Connecting(), RestartGracefully():
            return Stopping(then_start=True), Command.CLOSE_ALL
        case (
            (Up() | Degraded()),
            (SessionOpened(failure=failure) | ForwardsChanged(failure=failure)),
        ):
            return _connected_state(state.connection, failure, state.replacement), None
        case ((Up() | Degraded()), SessionEnded(failure=failure)):
            return _on_lost(state, failure, now, policy)
        case ((Up() | Degraded()), _):
            return _step_replacement(state, event, now, policy)

        case Stopping(), (Start() | Restart() | RestartGracefully()):
            return replace(state, then_start=True), None
        case Stopping(), Stop():
            return replace(state, then_start=False), None
        case Stopping(sessions=2), (SessionEnded() | ReplacementEnded()):
            return replace(state, sessions=1), None
        case Stopping(then_start=True), (SessionEnded() | ReplacementEnded()):
            return Connecting(), Command.OPEN_SESSION
        case Stopping(), (SessionEnded() | ReplacementEnded()):
            return Stopped(), None
    return state, None


def _step_replacement(  # noqa: C901, PLR0911
    state: Up | Degraded, event: Event, now: float, policy: RetryPolicy
) -> tuple[State, Command | None]:
    """The part of the table about the second session of a tunnel that is connected."""
    life = state.connection.as_of(now)
    match state.replacement, event:
        case NoReplacement(), (ConnectionUnhealthy() | RestartGracefully()):
            return replace(
                state, replacement=ReplacementConnecting(life.attempts)
            ), Command.OPEN_REPLACEMENT
        case ReplacementBackoff(), RestartGracefully():
            return replace(
                state, replacement=ReplacementConnecting(FailedAttempts())
            ), Command.OPEN_REPLACEMENT
        case Draining(
            connection=before
        ), ConnectionUnhealthy():  # the one before it may well carry data
            expires_at = now + policy.max_lifetime if policy.max_lifetime else inf
            leaving = Draining(life, now + policy.drain_timeout)
            life = replace(before, expires_at=expires_at)
            return replace(state, connection=life, replacement=leaving), Command.SWITCH_SESSIONS
        case (
            (Draining() | Closing()),
            (ConnectionUnhealthy() | RestartGracefully()),
        ):  # once that is gone
            return replace(
                state, connection=replace(life, expires_at=min(now, life.expires_at))
            ), None
        case ReplacementBackoff(retry_at=at, failure=failure), NetworkChanged() if (
            at < inf and failure.needs_user
        ):
            at = min(at, now + BLOCKED_MAX_DELAY_AFTER_NETWORK_CHANGE)
            return replace(state, replacement=replace(state.replacement, retry_at=at)), None
        case ReplacementBackoff(attempts=tries, retry_at=at), (RetryNow() | NetworkChanged()) if (
            at < inf
        ):
            return replace(
                state, replacement=ReplacementConnecting(tries)
            ), Command.OPEN_REPLACEMENT

        case NoReplacement(), DeadlineReached() if now >= life.expires_at:
            return replace(
                state, replacement=ReplacementConnecting(life.attempts)
            ), Command.OPEN_REPLACEMENT
        case ReplacementBackoff(attempts=tries, retry_at=at), DeadlineReached() if now >= at:
            return replace(
                state, replacement=ReplacementConnecting(tries)
            ), Command.OPEN_REPLACEMENT
        case Draining(closes_at=until), DeadlineReached() if now >= until:
            return replace(state, replacement=Closing()), Command.CLOSE_REPLACEMENT
        case _, DeadlineReached():
            return replace(state, connection=life), None

        case ReplacementConnecting(attempts=tries), ReplacementReady():
            leaving = Draining(life, now + policy.drain_timeout)
            successor = LiveConnection.opened(tries, now, policy)
            return replace(
                state, connection=successor, replacement=leaving
            ), Command.SWITCH_SESSIONS
        case ReplacementConnecting(attempts=tries), ReplacementEnded(failure=failure):
            retry = retry_after_attempt(failure, tries, now, policy)
            return replace(state, replacement=_replacement_backoff(retry)), None
        case Draining(), Drained():
            return replace(state, replacement=Closing()), Command.CLOSE_REPLACEMENT
        case ((Draining() | Closing()), ReplacementEnded()):
            return replace(state, replacement=NoReplacement()), None
    return state, None


def _on_lost(
    state: Up | Degraded, failure: Failure, now: float, policy: RetryPolicy
) -> tuple[State, Command | None]:
    """Where the loss of the connection in use leads: to the second one, if that is of use."""
    life = state.connection.as_of(now)
    match state.replacement:
        case ReplacementConnecting():
            return Connecting(life.attempts, failure), Command.SWITCH_SESSIONS
        case Draining(connection=before):
            retry = retry_after_attempt(failure, life.attempts, now, policy)
            return replace(
                state, connection=before, replacement=_replacement_backoff(retry)
            ), Command.SWITCH_SESSIONS
        case Closing():
            return Stopping(then_start=True), None
    # Before it was trusted, its loss is a failed attempt.
    after = retry_after_loss if life.stable_at == inf else retry_after_attempt
    return _waiting_state(after(failure, life.attempts, now, policy)), None


def _retry_now(
    waiting: BackingOff | Blocked, tries: FailedAttempts
) -> tuple[State, Command | None]:
    if waiting.retry_at == inf:  # it gave up: only a person's Start or Restart
        return waiting, None
    return Connecting(tries), Command.OPEN_SESSION


def _connected_state(
    life: LiveConnection, failure: Failure | None, second: Replacement = NO_REPLACEMENT
) -> State:
    return Up(life, second) if failure is None else Degraded(life, failure, second)


def _replacement_backoff(retry: Retry) -> ReplacementBackoff:
    return ReplacementBackoff(retry.attempts, retry.at, retry.failure)


def _waiting_state(retry: Retry) -> State:
    if retry.at == inf or retry.failure.needs_user:
        return Blocked(retry.attempts, retry.at, retry.failure)
    return BackingOff(retry.attempts, retry.at, retry.failure)
