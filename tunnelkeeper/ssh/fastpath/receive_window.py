"""Growth of channel receive windows, within a budget for the process. This module sends nothing.

OpenSSH keeps a window of 2 MB, which limits a channel to 2 MB per round trip: 20 MB/s at 100 ms.
Here a window doubles while it is smaller than three times the bandwidth-delay product. Each
doubling must raise the rate before the next: data that the link or the reader cannot take piles up
at the sender (sshd moves its backlog in memory and is ten times slower with 32 MB of it).
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_WINDOW = 32 * 1024 * 1024
"""Maximum bytes of one channel's window: 320 MB/s at a round trip of 100 ms."""

TOTAL_BUDGET = 256 * 1024 * 1024
"""Bytes by which all windows of a process may grow. Stalled readers cannot use more memory."""

BDP_FACTOR = 3
"""A window below this multiple of the bandwidth-delay product may limit the rate."""

MIN_SPEEDUP = 1.25
"""Factor by which the rate must rise after a growth before the window may grow again."""


@dataclass(slots=True)
class WindowBudget:
    """The growth of all windows of a process. granted: bytes beyond the initial windows."""

    granted: int = 0

    def grant(self, window: int, rate: float, round_trip: float | None, last_rate: float) -> int:
        """Return the bytes to grow a window by; 0 if it is not the limit or the budget is used up.

        rate: bytes per second at which half of the window arrived. last_rate: that rate at the last
        growth, or 0. round_trip: the shortest one on this connection, in seconds; None if unknown.
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
        """Return the bytes granted to a closed channel to the budget."""
        self.granted -= extra
