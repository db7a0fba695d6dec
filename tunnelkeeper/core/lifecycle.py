"""The tunnel state machine. `step` decides every transition; nothing else does.

`step` is a pure function. It never waits, and the runner executes the one command it returns.
A state that holds a session is only left when that session ends. A replacement is only opened
next to a connected session, so a tunnel has at most two sessions: the one in use, and either its
replacement or the previous one that drains.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

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


class Start(Struct, frozen=True):
    """A user wants the tunnel up. This also ends a wait."""


class Stop(Struct, frozen=True):
    """A user wants the tunnel down."""


class Restart(Struct, frozen=True):
    """A user wants the tunnel closed and connected again immediately."""


class RestartGracefully(Struct, frozen=True):
    """A user wants a new connection without interruption. Without a live one it is a Restart."""


class HostChanged(Struct, frozen=True):
    """The settings of a host in the chain changed. A Restart if the tunnel is wanted."""


class ConnectionUnhealthy(Struct, frozen=True):
    """The live connection carries no data from end to end. A new connection may."""


class RetryNow(Struct, frozen=True):
    """A retry may succeed now: a key file changed, or the server is back."""


class NetworkChanged(Struct, frozen=True):
    """The machine resumed or its network changed. An unreachable host may be reachable now."""


class SessionOpened(Struct, frozen=True):
    """The session is connected. failure: that of the first forward not listening, if any."""

    failure: Failure | None = None


class ForwardsChanged(Struct, frozen=True):
    """A forward of the live session failed or recovered. failure: as in SessionOpened."""

    failure: Failure | None = None


class SessionEnded(Struct, frozen=True):
    """The session in use ended, whether or not it had opened."""

    failure: Failure


class ReplacementReady(Struct, frozen=True):
    """The replacement is connected and ready to take over."""


class Drained(Struct, frozen=True):
    """The last channel of the draining session is closed."""


class ReplacementEnded(Struct, frozen=True):
    """The session that is not in use ended: the replacement, or the one that drains or closes."""

    failure: Failure


class DeadlineReached(Struct, frozen=True):
    """The time returned by `deadline` was reached."""


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
    """The one action that a transition requires."""

    OPEN_SESSION = "open the session"
    OPEN_REPLACEMENT = "open the replacement"
    SWITCH_SESSIONS = "swap the session in use and the other one"
    CLOSE_REPLACEMENT = "close the session that is not in use"
    CLOSE_ALL = "close every session"


# One table, read from top to bottom: split into functions, it could not be checked by eye.
def step(  # noqa: C901, PLR0911, PLR0912
    state: State, event: Event, now: float, policy: RetryPolicy
) -> tuple[State, Command | None]:
    """Return the next state and the command to execute, if any. `now` is monotonic seconds.

    A pair that is not listed changes nothing. Neither does an early deadline, which was already
    queued when the state changed.
    """
    match state, event:
        case ((Stopped() | Stopping(then_start=False)), HostChanged()):
            return state, None
        case (
            (Stopped() | BackingOff() | Blocked()),
            (Start() | Restart() | RestartGracefully() | HostChanged()),
        ):
            return Connecting(), Command.OPEN_SESSION
        case ((BackingOff(attempts=attempts) | Blocked(attempts=attempts)), RetryNow()):
            return _retry_now(state, attempts)
        case BackingOff(attempts=attempts), NetworkChanged():
            return Connecting(attempts), Command.OPEN_SESSION
        case Blocked(retry_at=at), NetworkChanged() if at < inf:
            return replace(
                state, retry_at=min(at, now + BLOCKED_MAX_DELAY_AFTER_NETWORK_CHANGE)
            ), None
        case (
            (BackingOff(attempts=attempts, retry_at=at) | Blocked(attempts=attempts, retry_at=at)),
            DeadlineReached(),
        ) if now >= at:
            return Connecting(attempts), Command.OPEN_SESSION
        case ((BackingOff() | Blocked()), Stop()):
            return Stopped(), None

        case Connecting(attempts=attempts, is_unhealthy=is_unhealthy), SessionOpened(
            failure=failure
        ):
            connection = LiveConnection.opened(attempts, now, policy)
            if is_unhealthy:
                connection = replace(connection, expires_at=now)
            return _up_or_degraded(connection, failure), None
        case Connecting(), ConnectionUnhealthy():
            return replace(state, is_unhealthy=True), None
        case Connecting(attempts=attempts), SessionEnded(failure=failure):
            return _backoff_or_blocked(retry_after_attempt(failure, attempts, now, policy)), None

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
            return _up_or_degraded(state.connection, failure, state.replacement), None
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
    """Decide the transitions of the replacement of a connected tunnel."""
    connection = state.connection.as_of(now)
    match state.replacement, event:
        case NoReplacement(), (ConnectionUnhealthy() | RestartGracefully()):
            return replace(
                state, replacement=ReplacementConnecting(connection.attempts)
            ), Command.OPEN_REPLACEMENT
        case ReplacementBackoff(), RestartGracefully():
            return replace(
                state, replacement=ReplacementConnecting(FailedAttempts())
            ), Command.OPEN_REPLACEMENT
        case Draining(connection=previous), ConnectionUnhealthy():  # the previous one may work
            expires_at = now + policy.max_lifetime if policy.max_lifetime else inf
            draining = Draining(connection, now + policy.drain_timeout)
            previous = replace(previous, expires_at=expires_at)
            return replace(
                state, connection=previous, replacement=draining
            ), Command.SWITCH_SESSIONS
        case ((Draining() | Closing()), (ConnectionUnhealthy() | RestartGracefully())):
            # Replaced as soon as the previous session has ended.
            expires_at = min(now, connection.expires_at)
            return replace(state, connection=replace(connection, expires_at=expires_at)), None
        case ReplacementBackoff(retry_at=at, failure=failure), NetworkChanged() if (
            at < inf and failure.needs_user
        ):
            at = min(at, now + BLOCKED_MAX_DELAY_AFTER_NETWORK_CHANGE)
            return replace(state, replacement=replace(state.replacement, retry_at=at)), None
        case ReplacementBackoff(attempts=attempts, retry_at=at, failure=failure), (
            RetryNow() | NetworkChanged()
        ) if at < inf or (failure.question and isinstance(event, RetryNow)):
            return replace(
                state, replacement=ReplacementConnecting(attempts)
            ), Command.OPEN_REPLACEMENT

        case NoReplacement(), DeadlineReached() if now >= connection.expires_at:
            return replace(
                state, replacement=ReplacementConnecting(connection.attempts)
            ), Command.OPEN_REPLACEMENT
        case ReplacementBackoff(attempts=attempts, retry_at=at), DeadlineReached() if now >= at:
            return replace(
                state, replacement=ReplacementConnecting(attempts)
            ), Command.OPEN_REPLACEMENT
        case Draining(closes_at=at), DeadlineReached() if now >= at:
            return replace(state, replacement=Closing()), Command.CLOSE_REPLACEMENT
        case _, DeadlineReached():
            return replace(state, connection=connection), None

        case ReplacementConnecting(attempts=attempts), ReplacementReady():
            draining = Draining(connection, now + policy.drain_timeout)
            connection = LiveConnection.opened(attempts, now, policy)
            return replace(
                state, connection=connection, replacement=draining
            ), Command.SWITCH_SESSIONS
        case ReplacementConnecting(attempts=attempts), ReplacementEnded(failure=failure):
            retry = retry_after_attempt(failure, attempts, now, policy)
            return replace(state, replacement=_replacement_backoff(retry)), None
        case Draining(), Drained():
            return replace(state, replacement=Closing()), Command.CLOSE_REPLACEMENT
        case ((Draining() | Closing()), ReplacementEnded()):
            return replace(state, replacement=NoReplacement()), None
    return state, None


def _on_lost(
    state: Up | Degraded, failure: Failure, now: float, policy: RetryPolicy
) -> tuple[State, Command | None]:
    """Return what follows the loss of the connection in use; switch to the other if possible."""
    connection = state.connection.as_of(now)
    match state.replacement:
        case ReplacementConnecting():
            return Connecting(connection.attempts, failure), Command.SWITCH_SESSIONS
        case Draining(connection=previous):
            retry = retry_after_attempt(failure, connection.attempts, now, policy)
            return replace(
                state, connection=previous, replacement=_replacement_backoff(retry)
            ), Command.SWITCH_SESSIONS
        case Closing():
            return Stopping(then_start=True), None
    # A loss within the gate time counts as a failed attempt.
    retry_after = retry_after_loss if connection.stable_at == inf else retry_after_attempt
    return _backoff_or_blocked(retry_after(failure, connection.attempts, now, policy)), None


def _retry_now(
    state: BackingOff | Blocked, attempts: FailedAttempts
) -> tuple[State, Command | None]:
    if state.retry_at == inf and not state.failure.question:
        return state, None  # it gave up: only Start or Restart ends that
    return Connecting(attempts), Command.OPEN_SESSION


def _up_or_degraded(
    connection: LiveConnection,
    failure: Failure | None,
    replacement: Replacement = NO_REPLACEMENT,
) -> State:
    if failure is None:
        return Up(connection, replacement)
    return Degraded(connection, failure, replacement)


def _replacement_backoff(retry: Retry) -> ReplacementBackoff:
    return ReplacementBackoff(retry.attempts, retry.at, retry.failure)


def _backoff_or_blocked(retry: Retry) -> State:
    if retry.at == inf or retry.failure.needs_user:
        return Blocked(retry.attempts, retry.at, retry.failure)
    return BackingOff(retry.attempts, retry.at, retry.failure)
