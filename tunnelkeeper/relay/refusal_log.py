"""The log of what clients cause: requests that were refused, logins, listeners.

`core.log_limiter` decides what is logged now and what is counted. Each line begins with the
address, and names are quoted, so that no user name can look like another line. The latest refusal
of each client and kind is kept for `relay status`; a flood displaces none of another client.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import structs

from tunnelkeeper.clock import iso_now
from tunnelkeeper.core.log_limiter import LogLimiter, Summary
from tunnelkeeper.core.relay_snapshot import RefusalSnapshot, RefusalsSnapshot
from tunnelkeeper.core.text import printable, quoted
from tunnelkeeper.relay.per_source import FAIR_BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable

RECENT = 25
"""Refusals of each kind that are kept, one for each client."""

EVENT_BURST = 30
"""Lines of one client and kind that are logged in full per minute, for what is no refusal."""

STATEMENT_BURST = 200
"""Lines of one statement per minute."""

USER_LIMIT = 64

_STATEMENT = ("statement",)

log = logging.getLogger(__name__)


class RefusalKind(StrEnum):
    """The kind of request that was refused."""

    CONNECTION = "connection"
    LOGIN = "login"
    LISTEN = "listen"
    OPEN = "open"


class EventKind(StrEnum):
    """What a client did that is no refusal."""

    LOGIN = "logins"
    DISCONNECT = "disconnects"
    LISTEN = "listening"
    TAKEOVER = "takeovers"
    FORWARD = "forwarded connections"


def client_name(address: object, user: str) -> str:
    """Return how the log names a client: the address first, and the user quoted."""
    return f"{address} {quoted(user, USER_LIMIT)}" if user else str(address)


class RefusalLog:
    """The events since the relay started, and the refusals among them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refusals = LogLimiter()
        self._events = LogLimiter(EVENT_BURST)
        self._counts: Counter[RefusalKind] = Counter()
        self._recent: dict[RefusalKind, dict[str, RefusalSnapshot]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def record(self, kind: RefusalKind, address: str, user: str, reason: str) -> None:
        """Count and log a refusal. user and reason may contain text of the client."""
        self._counts[kind] += 1
        reason = printable(reason)
        client = FAIR_BLOCK.block_of(address)
        if kind in {RefusalKind.LISTEN, RefusalKind.OPEN}:  # of a user that is known
            client = client_name(address, user)
        self._keep(kind, client, RefusalSnapshot(iso_now(), kind.value, address, user, reason))
        if self._refusals.admits((client, f"{kind} refused"), reason, self._clock()):
            log.info("%s: %s refused: %s", client_name(address, user), kind, reason)
        else:
            self._schedule_summaries()

    def write(self, kind: EventKind, client: str, message: str) -> None:
        """Log an event of a client. client: as `client_name` returns it, without a port."""
        if self._events.admits((client, kind.value), message, self._clock()):
            log.info("%s", message)
        else:
            self._schedule_summaries()

    def close(self) -> None:
        """Log the counts that are left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write_summaries(float("inf"))

    def snapshot(self) -> RefusalsSnapshot:
        """Return the refusals for `relay status`."""
        recent = [each for kept in self._recent.values() for each in kept.values()]
        return RefusalsSnapshot(
            connections=self._counts[RefusalKind.CONNECTION],
            logins=self._counts[RefusalKind.LOGIN],
            listens=self._counts[RefusalKind.LISTEN],
            opens=self._counts[RefusalKind.OPEN],
            recent=sorted(recent, key=lambda refusal: refusal.at),
        )

    def _keep(self, kind: RefusalKind, client: str, refusal: RefusalSnapshot) -> None:
        kept = self._recent.setdefault(kind, {})
        before = kept.pop(client, None)
        count = 1 if before is None else before.count + 1
        user = printable(refusal.user, USER_LIMIT)
        kept[client] = structs.replace(refusal, user=user, count=count)
        if len(kept) > RECENT:
            del kept[next(iter(kept))]

    def _schedule_summaries(self) -> None:
        if self._timer is not None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # the relay is not serving
            return
        due = [at for at in (self._refusals.next_due, self._events.next_due) if at is not None]
        if due:
            self._timer = loop.call_later(min(due) - self._clock(), self._summarize)

    def _summarize(self) -> None:
        self._timer = None
        self._write_summaries(self._clock())
        self._schedule_summaries()

    def _write_summaries(self, now: float) -> None:
        for summary in (*self._refusals.summaries(now), *self._events.summaries(now)):
            log.info("%s", _summary_text(summary))


def _summary_text(summary: Summary) -> str:
    client, kind = summary.key or ("other clients", "other events")
    return f"{client}: {kind}: {summary.count:,} more in the last minute, the last: {summary.last}"


class LineFilter(logging.Filter):
    """A bound on the lines of each statement that logs, for those that nothing else limits.

    What a statement logs too often is left out. Its next line says how many were.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._limiters: dict[tuple[str, int], LogLimiter] = {}  # by file and line
        self._lock = threading.Lock()  # files are read in threads

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record, which then names what was left out before it."""
        if record.name == __name__:  # limited by client already
            return True
        now = self._clock()
        with self._lock:
            statement = (record.pathname, record.lineno)
            limiter = self._limiters.setdefault(statement, LogLimiter(STATEMENT_BURST))
            left_out = [each.count for each in limiter.summaries(now)]
            if left_out:
                record.msg = f"{record.getMessage()} ({sum(left_out):,} more were not logged)"
                record.args = ()
                return True
            return limiter.admits(_STATEMENT, "", now)
