"""The schedule of end-to-end checks, and when failures replace the connection. It checks nothing.

After a number of consecutive failures the connection is replaced once. If that does not help, it
is not replaced again until a check passes or a long delay is over. So a target that is down does
not cost a tunnel its connection again and again.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from tunnelkeeper.core.failures import Cause, Failure

if TYPE_CHECKING:
    from tunnelkeeper.core.probes import Probe

REPLACEMENT_DELAY = 900.0
"""Seconds until a connection may be replaced again after that did not help. Doubled each time."""

MAX_REPLACEMENT_DELAY = 4 * 3600.0
"""The longest such delay, in seconds."""


class Check(Struct, frozen=True):
    """The check of one forward. Durations are seconds.

    interval: from the end of a check to the next one.
    failures: consecutive failures that replace the connection.
    """

    probe: Probe
    interval: float = 60.0
    timeout: float = 10.0
    failures: int = 3


class CheckPassed(Struct, frozen=True):
    """The forward carried data from end to end. seconds: the duration of the check."""

    seconds: float


class CheckFailed(Struct, frozen=True):
    """The check failed.

    keeps_connection: a new connection would not help, because the server prohibits it, or because
    the reason is on this machine.
    """

    message: str
    hint: str = ""
    keeps_connection: bool = False

    @property
    def failure(self) -> Failure:
        """The failure of the forward."""
        return Failure(Cause.CHECK_FAILED, self.message, hint=self.hint)


class CheckImpossible(Struct, frozen=True):
    """The server does not permit the check, so nothing is known about the forward."""

    message: str


CheckResult = CheckPassed | CheckFailed | CheckImpossible


class Health(Struct, frozen=True):
    """The results of a forward's checks so far. Times are monotonic seconds.

    failed: consecutive failures on this connection. replaced: consecutive replacements that did
    not help. may_replace_at: the earliest time of the next replacement.
    """

    due_at: float
    failed: int = 0
    replaced: int = 0
    may_replace_at: float = -inf


def on_connected(health: Health, now: float) -> Health:
    """Return the health on a new connection: checked immediately, without failures."""
    return replace(health, due_at=now, failed=0)


def record(health: Health, result: CheckResult, check: Check, now: float) -> tuple[Health, bool]:
    """Record a check result. Return the new health and whether to replace the connection."""
    due_at = now + check.interval
    match result:
        case CheckPassed():
            return Health(due_at), False
        case CheckImpossible() | CheckFailed(keeps_connection=True):
            return replace(health, due_at=due_at), False
    failed = health.failed + 1
    if failed < check.failures or now < health.may_replace_at:
        return replace(health, due_at=due_at, failed=failed), False
    # 2**10 reaches the maximum.
    wait = min(REPLACEMENT_DELAY * 2.0 ** min(health.replaced, 10), MAX_REPLACEMENT_DELAY)
    return Health(due_at, failed, health.replaced + 1, now + wait), True
