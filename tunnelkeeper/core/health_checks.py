"""When a forward is checked end to end, and what the results mean for its connection.

A check that fails so many times in a row asks for another connection, once. Where that did not
help it is not asked for again until a check has passed or a long wait is over: a target that is
down must not cost a tunnel its connection again and again. This module checks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import Cause, Failure

if TYPE_CHECKING:
    from tunnelkeeper.core.probes import Probe

REPLACEMENT_DELAY = 900.0
"""Seconds until a connection may be replaced again after it did not help; doubled each time."""

MAX_REPLACEMENT_DELAY = 4 * 3600.0
"""The longest such wait, in seconds."""


@dataclass(frozen=True, slots=True)
class Check:
    """How one forward is checked. Durations are seconds.

    interval: from the end of a check to the next. failures: so many in a row are too many.
    """

    probe: Probe
    interval: float = 60.0
    timeout: float = 10.0
    failures: int = 3


@dataclass(frozen=True, slots=True)
class CheckPassed:
    """The forward carried data from end to end. seconds: how long that took."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CheckFailed:
    """It did not. is_forbidden: the server said so, and another connection would hear the same."""

    message: str
    hint: str = ""
    is_forbidden: bool = False

    @property
    def failure(self) -> Failure:
        """As the forward's failure."""
        return Failure(Cause.CHECK_FAILED, self.message, hint=self.hint)


@dataclass(frozen=True, slots=True)
class CheckImpossible:
    """Nobody can tell: the server does not let the check through, which says nothing of clients."""

    message: str


CheckResult = CheckPassed | CheckFailed | CheckImpossible


@dataclass(frozen=True, slots=True)
class Health:
    """What a forward's checks have shown so far. Times are monotonic seconds.

    failed: in a row, on this connection. replaced: connections, in a row, that did not help.
    may_replace_at: the connection is left alone before.
    """

    due_at: float
    failed: int = 0
    replaced: int = 0
    may_replace_at: float = -inf


def on_connected(health: Health, now: float) -> Health:
    """On a new connection: it is checked at once, and owes nothing to the one before."""
    return replace(health, due_at=now, failed=0)


def record(health: Health, result: CheckResult, check: Check, now: float) -> tuple[Health, bool]:
    """What a result leads to, and whether the connection is to be replaced."""
    due_at = now + check.interval
    match result:
        case CheckPassed():
            return Health(due_at), False
        case CheckImpossible() | CheckFailed(is_forbidden=True):
            return replace(health, due_at=due_at), False
    failed = health.failed + 1
    if failed < check.failures or now < health.may_replace_at:
        return replace(health, due_at=due_at, failed=failed), False
    # By 2**10 every wait is at its maximum.
    wait = min(REPLACEMENT_DELAY * 2.0 ** min(health.replaced, 10), MAX_REPLACEMENT_DELAY)
    return Health(due_at, failed, health.replaced + 1, now + wait), True
