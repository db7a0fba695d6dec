"""The states of a tunnel, and what can be read off each of them; how it gets there is lifecycle's.

A state is a value that carries exactly what it needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.core import succession
from tunnelkeeper.core.retries import Tries
from tunnelkeeper.core.succession import ALONE, Life, Second

if TYPE_CHECKING:
    from tunnelkeeper.core.failures import Failure


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nobody wants it up."""


@dataclass(frozen=True, slots=True)
class Connecting:
    """On the way to the server. failure: why the connection before it ended, if this was begun.

    useless: its checks say so already, before it has opened.
    """

    tries: Tries = field(default_factory=Tries)
    failure: Failure | None = None
    useless: bool = False


@dataclass(frozen=True, slots=True)
class Up:
    """Connected, and every forward listens."""

    life: Life
    second: Second = ALONE


@dataclass(frozen=True, slots=True)
class Degraded:
    """Connected, and at least one forward does not work yet."""

    life: Life
    failure: Failure
    second: Second = ALONE


@dataclass(frozen=True, slots=True)
class BackingOff:
    """Waiting to try again."""

    tries: Tries
    retry_at: float
    failure: Failure


@dataclass(frozen=True, slots=True)
class Blocked:
    """A person must act. retry_at is inf where only a person's word starts it again."""

    tries: Tries
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
        case Up(life=life, second=second) | Degraded(life=life, second=second):
            at = succession.deadline(life, second)
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
        case Up(second=second) | Degraded(second=second):
            return 1 + succession.is_session(second)
        case Stopping(sessions=count):
            return count
    return 0


def opened_at(state: State) -> float:
    """When the connection in use opened (monotonic seconds); -inf without one."""
    return state.life.since if isinstance(state, Up | Degraded) else -inf


def second_of(state: State) -> Second:
    """What there is beside the connection in use."""
    return state.second if isinstance(state, Up | Degraded) else ALONE


def failure_of(state: State) -> Failure | None:
    """Why the tunnel is not up, where the state itself says so."""
    match state:
        case Stopped() | Up() | Stopping():
            return None
    return state.failure
