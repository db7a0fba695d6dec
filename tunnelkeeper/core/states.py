"""The states of a tunnel, and what can be read off each of them; how it gets there is lifecycle's.

A state is a value that carries exactly what it needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.core.retry_policy import FailedAttempts, RetryPolicy

if TYPE_CHECKING:
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.core.snapshot import StateName


@dataclass(frozen=True, slots=True)
class LiveConnection:
    """A live connection: when it opened, and when it will be trusted and be replaced (or inf).

    Within the gate time the failures before it are not forgotten: a server that accepts and drops
    is backed off from.
    """

    since: float
    attempts: FailedAttempts
    stable_at: float
    expires_at: float

    @classmethod
    def opened(cls, attempts: FailedAttempts, now: float, policy: RetryPolicy) -> LiveConnection:
        """Of a connection that opened now, after so many failed attempts."""
        expires_at = now + policy.max_lifetime if policy.max_lifetime else inf
        return cls(now, attempts, now + policy.gate_time, expires_at)

    def as_of(self, now: float) -> LiveConnection:
        """Trusted, if it is time for that: the failures before it are forgotten."""
        if now < self.stable_at:
            return self
        return replace(self, attempts=FailedAttempts(), stable_at=inf)


@dataclass(frozen=True, slots=True)
class NoReplacement:
    """The connection is the only one."""


@dataclass(frozen=True, slots=True)
class ReplacementConnecting:
    """Another one is on its way, to take its place. tries: those that failed before."""

    attempts: FailedAttempts


@dataclass(frozen=True, slots=True)
class ReplacementBackoff:
    """Another one was to take its place and failed; retry_at is inf after max_attempts."""

    attempts: FailedAttempts
    retry_at: float
    failure: Failure


@dataclass(frozen=True, slots=True)
class Draining:
    """The one before it finishes its transfers, until then; it is still good for use.

    life: its own, for the case that it has to be.
    """

    connection: LiveConnection
    closes_at: float


@dataclass(frozen=True, slots=True)
class Closing:
    """The one before it is being closed."""


NO_REPLACEMENT = NoReplacement()

Replacement = NoReplacement | ReplacementConnecting | ReplacementBackoff | Draining | Closing
"""What there is beside the connection that is in use."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nobody wants it up."""


@dataclass(frozen=True, slots=True)
class Connecting:
    """On the way to the server. failure: why the connection before it ended, if this was begun.

    useless: its checks say so already, before it has opened.
    """

    attempts: FailedAttempts = field(default_factory=FailedAttempts)
    failure: Failure | None = None
    is_unhealthy: bool = False


@dataclass(frozen=True, slots=True)
class Up:
    """Connected, and every forward listens."""

    connection: LiveConnection
    replacement: Replacement = NO_REPLACEMENT


@dataclass(frozen=True, slots=True)
class Degraded:
    """Connected, and at least one forward does not work yet."""

    connection: LiveConnection
    failure: Failure
    replacement: Replacement = NO_REPLACEMENT


@dataclass(frozen=True, slots=True)
class BackingOff:
    """Waiting to try again."""

    attempts: FailedAttempts
    retry_at: float
    failure: Failure


@dataclass(frozen=True, slots=True)
class Blocked:
    """A person must act. retry_at is inf where only a person's word starts it again."""

    attempts: FailedAttempts
    retry_at: float
    failure: Failure


@dataclass(frozen=True, slots=True)
class Stopping:
    """One session or two are being closed; then the tunnel connects again or is stopped."""

    then_start: bool = False
    sessions: int = 1


State = Stopped | Connecting | Up | Degraded | BackingOff | Blocked | Stopping


def deadline(state: State) -> float | None:
    """When to post DeadlineReached (monotonic seconds), or None: nothing to cancel, ever."""
    match state:
        case BackingOff(retry_at=at) | Blocked(retry_at=at):
            return at if at < inf else None
        case (
            Up(connection=life, replacement=second) | Degraded(connection=life, replacement=second)
        ):
            at = replacement_deadline(life, second)
            return at if at < inf else None
    return None


def is_wanted(state: State) -> bool:
    """Whether somebody wants the tunnel up: its local ports are bound and held."""
    match state:
        case Stopped() | Stopping(then_start=False):
            return False
    return True


def session_count(state: State) -> int:
    """How many sessions exist, each of which will report its end: two at most."""
    match state:
        case Connecting():
            return 1
        case Up(replacement=second) | Degraded(replacement=second):
            return 1 + has_session(second)
        case Stopping(sessions=count):
            return count
    return 0


def opened_at(state: State) -> float:
    """When the connection in use opened (monotonic seconds); -inf without one."""
    return state.connection.since if isinstance(state, Up | Degraded) else -inf


def replacement_of(state: State) -> Replacement:
    """What there is beside the connection in use."""
    return state.replacement if isinstance(state, Up | Degraded) else NO_REPLACEMENT


def failure_of(state: State) -> Failure | None:
    """Why the tunnel is not up, where the state itself says so."""
    match state:
        case Stopped() | Up() | Stopping():
            return None
    return state.failure


def has_session(replacement: Replacement) -> bool:
    """Whether there is a second session, which will report its end."""
    return isinstance(replacement, ReplacementConnecting | Draining | Closing)


def replacement_deadline(connection: LiveConnection, replacement: Replacement) -> float:
    """When time changes something about the two (monotonic seconds), or inf."""
    match replacement:
        case NoReplacement():
            return min(connection.stable_at, connection.expires_at)
        case ReplacementBackoff(retry_at=at) | Draining(closes_at=at):
            return min(connection.stable_at, at)
    return connection.stable_at


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
"""States between which a tunnel goes to and fro without anything getting better or worse."""


def is_same_phase(old: State, new: State) -> bool:
    """Whether `since` goes on: it tells how long a tunnel is away, not how long a try takes."""
    one, other = state_name(old), state_name(new)
    return PHASES.get(one, one) == PHASES.get(other, other)


def state_name(state: State) -> StateName:
    """The word that status shows."""
    return STATE_NAMES[type(state)]
