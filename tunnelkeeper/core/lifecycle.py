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

from tunnelkeeper.core.retries import (
    BLOCKED_RETRY_AFTER_MOVE,
    Policy,
    Retry,
    Tries,
    after_attempt,
    after_loss,
)
from tunnelkeeper.core.states import (
    BackingOff,
    Blocked,
    Connecting,
    Degraded,
    State,
    Stopped,
    Stopping,
    Up,
    session_count,
)
from tunnelkeeper.core.succession import (
    ALONE,
    Alone,
    Arriving,
    Delayed,
    Dismissed,
    Leaving,
    Life,
    Second,
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
class WayChanged:
    """Its server is to be reached in another way now: as Restart, where somebody wants it up."""


@dataclass(frozen=True, slots=True)
class Useless:
    """The live connection does not carry data from end to end: another in its place may."""


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
class Arrived:
    """The second session is connected and could take over."""


@dataclass(frozen=True, slots=True)
class Drained:
    """The last transfer of the second session, which leaves, is done."""


@dataclass(frozen=True, slots=True)
class SecondEnded:
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
    | WayChanged
    | Useless
    | Nudged
    | Moved
    | Opened
    | ForwardsChanged
    | Ended
    | Arrived
    | Drained
    | SecondEnded
    | DeadlineReached
)


class Command(Enum):
    """The one thing to do about a transition."""

    OPEN_SESSION = "open the session"
    OPEN_SECOND = "open a second session"
    SWITCH = "let the second session take over; the other, if it lives, is the second then"
    CLOSE_SECOND = "close the second session"
    CLOSE_ALL = "close every session"


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
        case (
            (Stopped() | BackingOff() | Blocked()),
            (Start() | Restart() | RestartGracefully() | WayChanged()),
        ):
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

        case Connecting(tries=tries, useless=useless), Opened(failure=failure):
            life = Life.begun(tries, now, policy)
            return _online(replace(life, expires_at=now) if useless else life, failure), None
        case Connecting(), Useless():
            return replace(state, useless=True), None
        case Connecting(tries=tries), Ended(failure=failure):
            return _waiting(after_attempt(failure, tries, now, policy)), None

        case ((Connecting() | Up() | Degraded()), Stop()):
            return Stopping(sessions=session_count(state)), Command.CLOSE_ALL
        case ((Connecting() | Up() | Degraded()), (Restart() | WayChanged())):
            return Stopping(then_start=True, sessions=session_count(state)), Command.CLOSE_ALL
        case Connecting(), RestartGracefully():
            return Stopping(then_start=True), Command.CLOSE_ALL
        case ((Up() | Degraded()), (Opened(failure=failure) | ForwardsChanged(failure=failure))):
            return _online(state.life, failure, state.second), None
        case ((Up() | Degraded()), Ended(failure=failure)):
            return _without(state, failure, now, policy)
        case ((Up() | Degraded()), _):
            return _beside(state, event, now, policy)

        case Stopping(), (Start() | Restart() | RestartGracefully()):
            return replace(state, then_start=True), None
        case Stopping(), Stop():
            return replace(state, then_start=False), None
        case Stopping(sessions=2), (Ended() | SecondEnded()):
            return replace(state, sessions=1), None
        case Stopping(then_start=True), (Ended() | SecondEnded()):
            return Connecting(), Command.OPEN_SESSION
        case Stopping(), (Ended() | SecondEnded()):
            return Stopped(), None
    return state, None


def _beside(  # noqa: C901, PLR0911
    state: Up | Degraded, event: Event, now: float, policy: Policy
) -> tuple[State, Command | None]:
    """The part of the table about the second session of a tunnel that is connected."""
    life = state.life.at(now)
    match state.second, event:
        case Alone(), (Useless() | RestartGracefully()):
            return replace(state, second=Arriving(life.tries)), Command.OPEN_SECOND
        case Delayed(), RestartGracefully():
            return replace(state, second=Arriving(Tries())), Command.OPEN_SECOND
        case Leaving(life=before), Useless():  # the one before it may well carry data
            expires_at = now + policy.max_lifetime if policy.max_lifetime else inf
            leaving = Leaving(life, now + policy.drain_timeout)
            life = replace(before, expires_at=expires_at)
            return replace(state, life=life, second=leaving), Command.SWITCH
        case ((Leaving() | Dismissed()), (Useless() | RestartGracefully())):  # once that is gone
            return replace(state, life=replace(life, expires_at=min(now, life.expires_at))), None
        case Delayed(retry_at=at, failure=failure), Moved() if at < inf and failure.needs_a_person:
            at = min(at, now + BLOCKED_RETRY_AFTER_MOVE)
            return replace(state, second=replace(state.second, retry_at=at)), None
        case Delayed(tries=tries, retry_at=at), (Nudged() | Moved()) if at < inf:
            return replace(state, second=Arriving(tries)), Command.OPEN_SECOND

        case Alone(), DeadlineReached() if now >= life.expires_at:
            return replace(state, second=Arriving(life.tries)), Command.OPEN_SECOND
        case Delayed(tries=tries, retry_at=at), DeadlineReached() if now >= at:
            return replace(state, second=Arriving(tries)), Command.OPEN_SECOND
        case Leaving(until=until), DeadlineReached() if now >= until:
            return replace(state, second=Dismissed()), Command.CLOSE_SECOND
        case _, DeadlineReached():
            return replace(state, life=life), None

        case Arriving(tries=tries), Arrived():
            leaving = Leaving(life, now + policy.drain_timeout)
            successor = Life.begun(tries, now, policy)
            return replace(state, life=successor, second=leaving), Command.SWITCH
        case Arriving(tries=tries), SecondEnded(failure=failure):
            retry = after_attempt(failure, tries, now, policy)
            return replace(state, second=_delayed(retry)), None
        case Leaving(), Drained():
            return replace(state, second=Dismissed()), Command.CLOSE_SECOND
        case ((Leaving() | Dismissed()), SecondEnded()):
            return replace(state, second=Alone()), None
    return state, None


def _without(
    state: Up | Degraded, failure: Failure, now: float, policy: Policy
) -> tuple[State, Command | None]:
    """Where the loss of the connection in use leads: to the second one, if that is of use."""
    life = state.life.at(now)
    match state.second:
        case Arriving():
            return Connecting(life.tries, failure), Command.SWITCH
        case Leaving(life=before):
            retry = after_attempt(failure, life.tries, now, policy)
            return replace(state, life=before, second=_delayed(retry)), Command.SWITCH
        case Dismissed():
            return Stopping(then_start=True), None
    # Before it was trusted, its loss is a failed attempt.
    after = after_loss if life.trusted_at == inf else after_attempt
    return _waiting(after(failure, life.tries, now, policy)), None


def _again(waiting: BackingOff | Blocked, tries: Tries) -> tuple[State, Command | None]:
    if waiting.retry_at == inf:  # it gave up: only a person's Start or Restart
        return waiting, None
    return Connecting(tries), Command.OPEN_SESSION


def _online(life: Life, failure: Failure | None, second: Second = ALONE) -> State:
    return Up(life, second) if failure is None else Degraded(life, failure, second)


def _delayed(retry: Retry) -> Delayed:
    return Delayed(retry.tries, retry.at, retry.failure)


def _waiting(retry: Retry) -> State:
    if retry.at == inf or retry.failure.needs_a_person:
        return Blocked(retry.tries, retry.at, retry.failure)
    return BackingOff(retry.tries, retry.at, retry.failure)
