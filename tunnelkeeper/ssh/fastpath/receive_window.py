"""The sizes of channel receive windows: small at first, larger for readers that take data.

A window is memory that a peer may fill, so it is taken from the budget of its connection
(ssh.memory_budget). It starts small, at 32 KiB while much of the budget is used. Once the reader
has taken a packet it grows to 2 MB, OpenSSH's window, which limits a channel to 2 MB per round
trip: 20 MB/s at 100 ms. From there it doubles while it is smaller than three times the
bandwidth-delay product. Each doubling must raise the rate before the next: data that the link or
the reader cannot take piles up at the sender (sshd moves its backlog in memory and is ten times
slower with 32 MB of it). This module computes; it sends nothing.
"""

from __future__ import annotations

MAX_PACKET = 32 * 1024
"""Bytes of data in one packet (RFC 4253 section 6.1)."""

MIN_WINDOW = MAX_PACKET
"""Bytes of the smallest window: one packet."""

FIRST_WINDOW = 256 * 1024
"""Bytes of the first window while little of the budget is used: more than most answers have."""

OPEN_WINDOW = 2 * 1024 * 1024
"""Bytes of the window for a reader that takes data. The default of ssh and asyncssh."""

MAX_WINDOW = 32 * 1024 * 1024
"""Maximum bytes of one channel's window: 320 MB/s at a round trip of 100 ms."""

BDP_FACTOR = 3
"""A window below this multiple of the bandwidth-delay product may limit the rate."""

MIN_SPEEDUP = 1.25
"""Factor by which the rate must rise after a growth before the window may grow again."""

# The parts of what is left that one window may take: many short channels, several busy ones.
_FIRST_PART, _OPEN_PART, _GROWN_PART = 256, 16, 4


def first_window(free: int) -> int:
    """Return the bytes of a new channel's window. free: bytes that windows may still take."""
    window = min(FIRST_WINDOW, free // _FIRST_PART)
    return max(MIN_WINDOW, window - window % MIN_WINDOW)


def credit_threshold(window: int) -> int:
    """Return the delivered bytes from which the peer gets new credit.

    It is half of the window, as with OpenSSH, but one packet in a window that has not grown yet.
    """
    return window // 2 if window >= OPEN_WINDOW else min(MAX_PACKET, window // 2)


def growth(window: int, free: int, rate: float, round_trip: float | None, last_rate: float) -> int:
    """Return the bytes to grow a window by when credit is given; 0 if it must not grow.

    Args:
        window: Its bytes now.
        free: Bytes that windows may still take.
        rate: Bytes per second at which the credited data arrived.
        round_trip: The shortest one on this connection, in seconds; None if unknown.
        last_rate: The rate at the last growth, or 0.
    """
    if window < OPEN_WINDOW:
        return min(OPEN_WINDOW - window, free // _OPEN_PART)
    if (
        round_trip is None
        or window >= BDP_FACTOR * rate * round_trip
        or rate < MIN_SPEEDUP * last_rate
    ):
        return 0
    return max(0, min(window, MAX_WINDOW - window, free // _GROWN_PART))
