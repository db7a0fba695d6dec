"""How large a channel's receive window may grow: as the link and the reader ask, within a bound.

A window of 2 MB, which ssh never leaves, carries at most 2 MB a round trip: 20 MB/s at 100 ms.
A window that limits its sender is on the link as a whole, so it is doubled while it is less than
three times what the link holds. Each doubling has to prove itself before the next: more than the
link or the reader takes only piles up at the sender (sshd moves its pile around in memory, and is
ten times slower with 32 MB of it). This decides sizes; it sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_WINDOW = 32 * 1024 * 1024
"""Bytes of one channel's window: 320 MB/s at a round trip of 100 ms."""

TOTAL_BUDGET = 256 * 1024 * 1024
"""Bytes that all windows of a process may have grown by; readers that stop can cost no more."""

BDP_FACTOR = 3
"""A window of fewer times what the link holds may be what limits."""

MIN_SPEEDUP = 1.25
"""How much faster data has to come once a window has grown, before it may grow again."""


@dataclass(slots=True)
class WindowBudget:
    """The growth of all windows of a process. grown: bytes that are handed out beyond the first."""

    granted: int = 0

    def grant(self, window: int, rate: float, round_trip: float | None, last_rate: float) -> int:
        """The bytes that a window grows by; 0 where it is not what limits, or enough is out.

        rate: bytes per second at which half of the window went, and before: that at which it had
        gone when the window grew last, 0 if never. round_trip: the shortest seen on this
        connection, in seconds; None while it is not known.
        """
        if (
            round_trip is None
            or window >= BDP_FACTOR * rate * round_trip
            or rate < MIN_SPEEDUP * last_rate
        ):
            return 0
        extra = min(window, MAX_WINDOW - window, TOTAL_BUDGET - self.granted)
        if extra <= 0:
            return 0
        self.granted += extra
        return extra

    def release(self, extra: int) -> None:
        """A channel that had grown is gone."""
        self.granted -= extra
