"""The states of a tunnel as values, and what they imply. Transitions are in `lifecycle`."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from tunnelkeeper.core.retry_policy import FailedAttempts, RetryPolicy

if TYPE_CHECKING:
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.core.snapshot import StateName


class LiveConnection(Struct, frozen=True):
    """A live connection. Times are monotonic seconds, or inf for never.

    since: when it opened. stable_at: when the gate time ends. expires_at: when it is replaced.
    attempts: failed attempts before it. They are kept within the gate time, so that the backoff
    grows for a server that accepts connections and drops them.
    """

    since: float
    attempts: FailedAttempts
    stable_at: float
    expires_at: float

    @classmethod
    def opened(cls, attempts: FailedAttempts, now: float, policy: RetryPolicy) -> LiveConnection:
        """Return a connection that opened now, after the given failed attempts."""
        expires_at = now + policy.max_lifetime if policy.max_lifetime else inf
        return cls(now, attempts, now + policy.gate_time, expires_at)

    def as_of(self, now: float) -> LiveConnection:
        """Return the connection as of `now`; after the gate time, its failed attempts are reset."""
        if now < self.stable_at:
            return self
        return replace(self, attempts=FailedAttempts(), stable_at=inf)


class NoReplacement(Struct, frozen=True):
    """There is no other session than the one in use."""


class ReplacementConnecting(Struct, frozen=True):
    """A replacement connects. attempts: those that failed before it."""

    attempts: FailedAttempts


class ReplacementBackoff(Struct, frozen=True):
    """The replacement failed and waits for a retry. retry_at is inf after max_attempts."""

    attempts: FailedAttempts
    retry_at: float
    failure: Failure


class Draining(Struct, frozen=True):
    """The previous connection finishes its transfers until closes_at.

    connection: the previous connection, which is used again if the new one fails.
    """

    connection: LiveConnection
    closes_at: float


class Closing(Struct, frozen=True):
    """The previous connection is being closed."""


NO_REPLACEMENT = NoReplacement()

Replacement = NoReplacement | ReplacementConnecting | ReplacementBackoff | Draining | Closing
"""The session that is not in use: a replacement, the previous session, or none."""


class Stopped(Struct, frozen=True):
    """The tunnel is not wanted."""


class Connecting(Struct, frozen=True):
    """A session is connecting. failure: why the connection before it ended, if it replaces one.

    is_unhealthy: a health check already failed too often, before the session has opened.
    """

    attempts: FailedAttempts = field(default_factory=FailedAttempts)
    failure: Failure | None = None
    is_unhealthy: bool = False


class Up(Struct, frozen=True):
    """The tunnel is connected, and every forward listens."""

    connection: LiveConnection
    replacement: Replacement = NO_REPLACEMENT


class Degraded(Struct, frozen=True):
    """The tunnel is connected, but at least one forward does not work."""

    connection: LiveConnection
    failure: Failure
    replacement: Replacement = NO_REPLACEMENT


class BackingOff(Struct, frozen=True):
    """The tunnel waits for the next attempt."""

    attempts: FailedAttempts
    retry_at: float
    failure: Failure


class Blocked(Struct, frozen=True):
    """A user must act. retry_at is inf if only Start or Restart ends this state."""

    attempts: FailedAttempts
    retry_at: float
    failure: Failure


class Stopping(Struct, frozen=True):
    """One or two sessions are being closed. Then the tunnel connects again or is stopped."""

    then_start: bool = False
    sessions: int = 1


State = Stopped | Connecting | Up | Degraded | BackingOff | Blocked | Stopping


STATE_NAMES: dict[type[State], StateName] = {
    Stopped: "stopped",
    Connecting: "connecting",
    Up: "up",
    Degraded: "degraded",
    BackingOff: "backoff",
    Blocked: "blocked",
    Stopping: "stopping",
}


PHASES: dict[StateName, str] = {"backoff": "away", "connecting": "away", "blocked": "away"}
"""States between which a tunnel alternates while it is not connected."""


def state_name(state: State) -> StateName:
    """Return the state name that status shows."""
    return STATE_NAMES[type(state)]


def is_same_phase(old: State, new: State) -> bool:
    """Return whether `since` of the status stays the same.

    `since` is when the tunnel went away, not when the current attempt began.
    """
    old_name, new_name = state_name(old), state_name(new)
    return PHASES.get(old_name, old_name) == PHASES.get(new_name, new_name)


def deadline(state: State) -> float | None:
    """Return when to send DeadlineReached (monotonic seconds), or None.

    It follows from the state, so no timer has to be cancelled.
    """
    match state:
        case BackingOff(retry_at=at) | Blocked(retry_at=at):
            return at if at < inf else None
        case (
            Up(connection=connection, replacement=replacement)
            | Degraded(connection=connection, replacement=replacement)
        ):
            at = replacement_deadline(connection, replacement)
            return at if at < inf else None
    return None


def is_wanted(state: State) -> bool:
    """Return whether the tunnel is wanted up. Its local ports are bound while it is."""
    match state:
        case Stopped() | Stopping(then_start=False):
            return False
    return True


def session_count(state: State) -> int:
    """Return the number of sessions, at most two. Each of them will report its end."""
    match state:
        case Connecting():
            return 1
        case Up(replacement=replacement) | Degraded(replacement=replacement):
            return 1 + has_session(replacement)
        case Stopping(sessions=count):
            return count
    return 0


def opened_at(state: State) -> float:
    """Return when the connection in use opened (monotonic seconds); -inf without one."""
    return state.connection.since if isinstance(state, Up | Degraded) else -inf


def replacement_of(state: State) -> Replacement:
    """Return the state of the replacement."""
    return state.replacement if isinstance(state, Up | Degraded) else NO_REPLACEMENT


def failure_of(state: State) -> Failure | None:
    """Return why the tunnel is not up, if the state records it."""
    match state:
        case Stopped() | Up() | Stopping():
            return None
    return state.failure


def has_session(replacement: Replacement) -> bool:
    """Return whether a session belongs to this state and will report its end."""
    return isinstance(replacement, ReplacementConnecting | Draining | Closing)


def replacement_deadline(connection: LiveConnection, replacement: Replacement) -> float:
    """Return when the connection or its replacement changes with time, or inf."""
    match replacement:
        case NoReplacement():
            return min(connection.stable_at, connection.expires_at)
        case ReplacementBackoff(retry_at=at) | Draining(closes_at=at):
            return min(connection.stable_at, at)
    return connection.stable_at
