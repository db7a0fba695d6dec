"""The life of a tunnel: its states, what can happen to it, and what becomes of it.

The law of this file: everything that decides which state a tunnel is in stands here, in `step`.
It is a pure function; it waits for nothing, and the runner carries out the one command it gives.
Only `Ended` leaves a state that holds a session, so there is never more than one per tunnel.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.core.retries import (
    BLOCKED_RETRY_AFTER_MOVE,
    Policy,
    Retry,
    Tries,
    after_attempt,
    after_loss,
)

if TYPE_CHECKING:
    from tunnelkeeper.core.failures import Failure


@dataclass(frozen=True, slots=True)
class Life:
    """A live connection: when it opened, and when it will be trusted and be renewed (or inf).

    Within the gate time the failures before it are not forgotten: a server that accepts and drops
    is backed off from.
    """

    since: float
    tries: Tries
    trusted_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nobody wants it up."""


@dataclass(frozen=True, slots=True)
class Connecting:
    """On the way to the server."""

    tries: Tries = field(default_factory=Tries)


@dataclass(frozen=True, slots=True)
class Up:
    """Connected, and every forward listens."""

    life: Life


@dataclass(frozen=True, slots=True)
class Degraded:
    """Connected, and at least one forward does not work yet."""

    life: Life
    failure: Failure


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
    """The session is being closed; afterwards the tunnel connects again or is stopped."""

    then_start: bool = False


State = Stopped | Connecting | Up | Degraded | BackingOff | Blocked | Stopping


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
class WayChanged:
    """Its server is to be reached in another way now: as Restart, where somebody wants it up."""


@dataclass(frozen=True, slots=True)
class Useless:
    """The live connection does not carry data from end to end: a new one may."""


@dataclass(frozen=True, slots=True)
class Nudged:
    """The world changed so that trying again may help: a key file, or the server is back."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The machine woke or is in another network: what was not reached may be reached now."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The session is connected. failure: of the first forward that does not listen, if any."""

    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class ForwardsChanged:
    """A forward of the live session failed or recovered. failure: as in Opened."""

    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over, whether it ever opened or not."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """The time that `deadline` gave has come."""


Event = (
    Start
    | Stop
    | Restart
    | WayChanged
    | Useless
    | Nudged
    | Moved
    | Opened
    | ForwardsChanged
    | Ended
    | DeadlineReached
)


class Command(Enum):
    """The one thing to do about a transition."""

    OPEN_SESSION = "open"
    CLOSE_SESSION = "close"


# One table to read from top to bottom: cut into functions, no eye could check it.
def step(  # noqa: C901, PLR0911, PLR0912
    state: State, event: Event, now: float, policy: Policy
) -> tuple[State, Command | None]:
    """What the tunnel becomes, and the one thing to do about it. `now` is monotonic seconds.

    A pair that is not named here changes nothing, and so does a deadline that comes early: one that
    was already on its way when the state changed.
    """
    match state, event:
        case ((Stopped() | Stopping(then_start=False)), WayChanged()):
            return state, None
        case ((Stopped() | BackingOff() | Blocked()), (Start() | Restart() | WayChanged())):
            return Connecting(), Command.OPEN_SESSION
        case ((BackingOff(tries=tries) | Blocked(tries=tries)), Nudged()):
            return _again(state, tries)
        case BackingOff(tries=tries), Moved():
            return Connecting(tries), Command.OPEN_SESSION
        case Blocked(retry_at=at), Moved() if at < inf:
            return replace(state, retry_at=min(at, now + BLOCKED_RETRY_AFTER_MOVE)), None
        case (
            (BackingOff(tries=tries, retry_at=at) | Blocked(tries=tries, retry_at=at)),
            DeadlineReached(),
        ) if now >= at:
            return Connecting(tries), Command.OPEN_SESSION
        case ((BackingOff() | Blocked()), Stop()):
            return Stopped(), None

        case Connecting(tries=tries), Opened(failure=failure):
            return _online(_new_life(tries, now, policy), failure), None
        case ((Up(life=life) | Degraded(life=life)), ForwardsChanged(failure=failure)):
            return _online(life, failure), None
        case ((Up(life=life) | Degraded(life=life)), DeadlineReached()):
            if now >= life.expires_at:
                return Stopping(then_start=True), Command.CLOSE_SESSION
            return _trusted(state, now), None

        case ((Connecting() | Up() | Degraded()), Stop()):
            return Stopping(), Command.CLOSE_SESSION
        case ((Up() | Degraded()), Useless()):
            return Stopping(then_start=True), Command.CLOSE_SESSION
        case ((Connecting() | Up() | Degraded()), (Restart() | WayChanged())):
            return Stopping(then_start=True), Command.CLOSE_SESSION

        case Connecting(tries=tries), Ended(failure=failure):
            return _waiting(after_attempt(failure, tries, now, policy)), None
        case ((Up(life=life) | Degraded(life=life)), Ended(failure=failure)):
            return _after_life(failure, life, now, policy), None

        case Stopping(), (Start() | Restart()):
            return Stopping(then_start=True), None
        case Stopping(), Stop():
            return Stopping(), None
        case Stopping(then_start=True), Ended():
            return Connecting(), Command.OPEN_SESSION
        case Stopping(), Ended():
            return Stopped(), None
    return state, None


def deadline(state: State) -> float | None:
    """When to post DeadlineReached (monotonic seconds), or None: nothing to cancel, ever."""
    match state:
        case BackingOff(retry_at=at) | Blocked(retry_at=at):
            return at if at < inf else None
        case Up(life=life) | Degraded(life=life):
            at = min(life.trusted_at, life.expires_at)
            return at if at < inf else None
    return None


def is_wanted(state: State) -> bool:
    """Whether somebody wants the tunnel up: its local ports are bound and held."""
    match state:
        case Stopped() | Stopping(then_start=False):
            return False
    return True


def holds_session(state: State) -> bool:
    """Whether a session exists that will post Ended."""
    return isinstance(state, Connecting | Up | Degraded | Stopping)


def failure_of(state: State) -> Failure | None:
    """Why the tunnel is not up, where the state itself says so."""
    match state:
        case Degraded(failure=failure) | BackingOff(failure=failure) | Blocked(failure=failure):
            return failure
    return None


def _again(waiting: BackingOff | Blocked, tries: Tries) -> tuple[State, Command | None]:
    if waiting.retry_at == inf:  # it gave up: only a person's Start or Restart
        return waiting, None
    return Connecting(tries), Command.OPEN_SESSION


def _new_life(tries: Tries, now: float, policy: Policy) -> Life:
    expires_at = now + policy.max_lifetime if policy.max_lifetime else inf
    return Life(now, tries, now + policy.gate_time, expires_at)


def _trusted(online: Up | Degraded, now: float) -> State:
    if now < online.life.trusted_at:
        return online
    return replace(online, life=replace(online.life, tries=Tries(), trusted_at=inf))


def _online(life: Life, failure: Failure | None) -> State:
    return Up(life) if failure is None else Degraded(life, failure)


def _after_life(failure: Failure, life: Life, now: float, policy: Policy) -> State:
    """Where the loss of a connection leads; before it was trusted, it is a failed attempt."""
    if life.trusted_at == inf or now >= life.trusted_at:
        return _waiting(after_loss(failure, Tries(), now, policy))
    return _waiting(after_attempt(failure, life.tries, now, policy))


def _waiting(retry: Retry) -> State:
    if retry.at == inf or retry.failure.needs_a_person:
        return Blocked(retry.tries, retry.at, retry.failure)
    return BackingOff(retry.tries, retry.at, retry.failure)
