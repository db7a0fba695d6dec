"""Recognition of a server that closes connections without channels (UnusedConnectionTimeout).

sshd_config(5): neither listeners nor keepalives count as use. The server gives no reason, so only
a pattern shows it: two connections in a row that end after the same time without a channel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

SHORTEST = 5.0
"""Seconds. A connection that ends sooner has another problem."""

TOLERANCE = 0.05
SMALLEST_TOLERANCE = 2.0
"""The part of the time, and the seconds, by which two of them may differ. sshd counts in seconds,
and a busy machine is late."""


@dataclass(frozen=True, slots=True)
class UnusedTimeout:
    """What is known about one server.

    seconds: the time after which it closes an unused connection, or None while that is unknown.
    last: how long the last connection was unused when the server closed it, or None.
    """

    seconds: float | None = None
    last: float | None = None

    def after_end(self, unused: float | None) -> UnusedTimeout:
        """Return what is known after the end of a connection.

        unused: for how many seconds it had no channel when the server closed it. None: it had one,
        or it ended otherwise.
        """
        if unused is None or unused < SHORTEST:
            return replace(self, last=None)
        if self.last is not None and _is_same(unused, self.last):
            return UnusedTimeout(min(unused, self.last), unused)
        return replace(self, last=unused)

    @property
    def use_interval(self) -> float | None:
        """The seconds without a channel after which the connection should be used, or None."""
        return None if self.seconds is None else self.seconds / 2


def _is_same(first: float, second: float) -> bool:
    return abs(first - second) <= max(SMALLEST_TOLERANCE, TOLERANCE * second)
