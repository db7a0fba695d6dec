"""How large a channel's receive window may grow: as the link and the reader ask, within a bound.

A window of 2 MB, which ssh never leaves, carries at most 2 MB a round trip: 20 MB/s at 100 ms.
Credit is given for half a window at a time, so a window that limits its sender is used up by half
about once in a round trip; one that is three times what the link holds takes longer. Until then
it is doubled. This decides sizes; it sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

LARGEST = 32 * 1024 * 1024
"""Bytes of one channel's window: 320 MB/s at a round trip of 100 ms."""

TOGETHER = 256 * 1024 * 1024
"""Bytes that all windows of a process may have grown by; readers that stop can cost no more."""

LIMITED = 1.5
"""Half a window within so many round trips: the window is less than three times the link's."""


@dataclass(slots=True)
class Windows:
    """The growth of all windows of a process. grown: bytes that are handed out beyond the first."""

    grown: int = 0

    def growth(self, window: int, elapsed: float, round_trip: float | None) -> int:
        """The bytes that a window grows by; 0 where it is not what limits, or enough is out.

        elapsed: seconds in which half of the window was used up and delivered. round_trip: the
        shortest seen on this connection, seconds; None while it is not known.
        """
        if round_trip is None or elapsed >= LIMITED * round_trip:
            return 0
        extra = min(window, LARGEST - window, TOGETHER - self.grown)
        if extra <= 0:
            return 0
        self.grown += extra
        return extra

    def give_back(self, extra: int) -> None:
        """A channel that had grown is gone."""
        self.grown -= extra
