"""A live connection of a tunnel, and the second one that is beside it while it is replaced.

There is never a third. These are values only: how one becomes another, the lifecycle says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.core.retries import Policy, Tries

if TYPE_CHECKING:
    from tunnelkeeper.core.failures import Failure


@dataclass(frozen=True, slots=True)
class Life:
    """A live connection: when it opened, and when it will be trusted and be replaced (or inf).

    Within the gate time the failures before it are not forgotten: a server that accepts and drops
    is backed off from.
    """

    since: float
    tries: Tries
    trusted_at: float
    expires_at: float

    @classmethod
    def begun(cls, tries: Tries, now: float, policy: Policy) -> Life:
        """Of a connection that opened now, after so many failed attempts."""
        expires_at = now + policy.max_lifetime if policy.max_lifetime else inf
        return cls(now, tries, now + policy.gate_time, expires_at)

    def at(self, now: float) -> Life:
        """Trusted, if it is time for that: the failures before it are forgotten."""
        if now < self.trusted_at:
            return self
        return replace(self, tries=Tries(), trusted_at=inf)


@dataclass(frozen=True, slots=True)
class Alone:
    """The connection is the only one."""


@dataclass(frozen=True, slots=True)
class Arriving:
    """Another one is on its way, to take its place. tries: those that failed before."""

    tries: Tries


@dataclass(frozen=True, slots=True)
class Delayed:
    """Another one was to take its place and failed; retry_at is inf after max_attempts."""

    tries: Tries
    retry_at: float
    failure: Failure


@dataclass(frozen=True, slots=True)
class Leaving:
    """The one before it finishes its transfers, until then; it is still good for use.

    life: its own, for the case that it has to be.
    """

    life: Life
    until: float


@dataclass(frozen=True, slots=True)
class Dismissed:
    """The one before it is being closed."""


ALONE = Alone()

Second = Alone | Arriving | Delayed | Leaving | Dismissed
"""What there is beside the connection that is in use."""


def is_session(second: Second) -> bool:
    """Whether there is a second session, which will report its end."""
    return isinstance(second, Arriving | Leaving | Dismissed)


def deadline(life: Life, second: Second) -> float:
    """When time changes something about the two (monotonic seconds), or inf."""
    match second:
        case Alone():
            return min(life.trusted_at, life.expires_at)
        case Delayed(retry_at=at) | Leaving(until=at):
            return min(life.trusted_at, at)
    return life.trusted_at
