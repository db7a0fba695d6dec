"""What is logged now, what is only counted, and when a client has been refused too often.

The first lines of a key are logged in full. Further ones in the same minute are counted, and the
count is logged at the end of the minute. A key names a client and a kind of event. The number of
keys is bounded: beyond it, events are counted together. The clock is a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

INTERVAL = 60.0
"""Seconds after which the lines that were not logged are counted up."""

MAX_KEYS = 256
"""Keys with lines of their own in one interval. More clients than that at once are a flood."""

MAX_REFUSALS, REFUSALS_PER_SECOND = 1000, 10.0
"""Refused requests that a connection may have at once, and how fast they are forgiven. A browser
whose pages need hosts that its key may not open stays below that."""


class Summary(Struct, frozen=True):
    """Lines that were not logged. key: empty for those of several keys together."""

    key: tuple[str, ...]
    count: int
    last: str


@dataclass(slots=True)
class _Window:
    """The lines of a key since a time. last: the text of the last one that was only counted."""

    since: float
    logged: int = 0
    count: int = 0
    last: str = ""


class LogLimiter:
    """Decides about each line. burst: the lines of a key that are logged in full per interval."""

    def __init__(
        self, burst: int = 1, interval: float = INTERVAL, max_keys: int = MAX_KEYS
    ) -> None:
        self._burst = burst
        self._interval = interval
        self._max_keys = max_keys
        self._windows: dict[tuple[str, ...], _Window] = {}  # in the order of their ends

    def admits(self, key: tuple[str, ...], text: str, now: float) -> bool:
        """Return whether to log a line of a key now; otherwise count it."""
        window = self._windows.get(key)
        if window is not None and not window.count and now >= window.since + self._interval:
            del self._windows[key]
            window = None
        if window is None:
            self._drop_ended(now)
            if len(self._windows) >= self._max_keys:
                key = ()
            window = self._windows.setdefault(key, _Window(now, 0 if key else self._burst))
        if window.logged < self._burst:
            window.logged += 1
            return True
        window.count += 1
        window.last = text
        return False

    @property
    def next_due(self) -> float | None:
        """The time of the next summary; None if every line was logged."""
        ends = [window.since for window in self._windows.values() if window.count]
        return min(ends) + self._interval if ends else None

    def summaries(self, now: float) -> list[Summary]:
        """Return the counts that are due, and start the next interval."""
        due = []
        for key, window in list(self._windows.items()):
            if now < window.since + self._interval:
                continue
            del self._windows[key]
            if window.count:
                due.append(Summary(key, window.count, window.last))
                # The next interval logs no line in full, only its count.
                self._windows[key] = _Window(now, self._burst)
        return due

    def _drop_ended(self, now: float) -> None:
        for key, window in list(self._windows.items()):
            if now < window.since + self._interval:
                return
            if not window.count:
                del self._windows[key]


class RefusalLimit:
    """The refused requests of one connection."""

    def __init__(self, now: float) -> None:
        self._left = float(MAX_REFUSALS)
        self._counted_at = now

    def exceeds(self, now: float) -> bool:
        """Count a refusal; return whether there were too many."""
        earned = (now - self._counted_at) * REFUSALS_PER_SECOND
        self._left = min(MAX_REFUSALS, self._left + earned) - 1
        self._counted_at = now
        return self._left < 0
