"""Throughput over time, calculated from byte counters. Pure: callers pass the time in.

Only intervals with traffic are stored, so idle tunnels use no memory.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

HISTORY_SECONDS = 300.0
"""Seconds of history: the widest chart has one column per second for five minutes."""


class Rate(NamedTuple):
    """Bytes per second from SSH (inbound) and to SSH (outbound)."""

    inbound: float
    outbound: float

    @property
    def total(self) -> float:
        """The sum of both directions."""
        return self.inbound + self.outbound


NO_TRAFFIC = Rate(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """The bytes that flowed between two times."""

    begin: float
    end: float
    bytes_in: int
    bytes_out: int


@dataclass(slots=True)
class Meter:
    """The throughput of one tunnel or of all tunnels. Times are monotonic seconds."""

    bytes_in: int
    bytes_out: int
    _samples: deque[Sample] = field(default_factory=deque)

    def record(self, begin: float, now: float, bytes_in: int, bytes_out: int) -> None:
        """Record new counter values. `begin` is the time of the previous ones.

        Counters that decreased belong to another supervisor or to changed forwards. They count as
        no traffic.
        """
        more_in, more_out = bytes_in - self.bytes_in, bytes_out - self.bytes_out
        self.bytes_in, self.bytes_out = bytes_in, bytes_out
        if self._samples:
            begin = max(begin, self._samples[-1].end)
        if more_in < 0 or more_out < 0 or not (more_in or more_out) or begin >= now:
            return
        self._samples.append(Sample(begin, now, more_in, more_out))
        while self._samples[0].end < now - HISTORY_SECONDS:
            self._samples.popleft()

    def rate(self, counters_at: float) -> Rate:
        """Return the throughput at the time of the last counters."""
        if not self._samples or self._samples[-1].end < counters_at:
            return NO_TRAFFIC
        last = self._samples[-1]
        seconds = last.end - last.begin
        return Rate(last.bytes_in / seconds, last.bytes_out / seconds)

    def history(self, counters_at: float, count: int) -> list[Rate]:
        """Return the throughput in each of the last `count` seconds, newest last."""
        inbound, outbound = [0.0] * count, [0.0] * count
        start = counters_at - count
        for sample in reversed(self._samples):
            if sample.end <= start:
                break
            seconds = sample.end - sample.begin
            first = max(0, int(sample.begin - start))
            for column in range(first, min(count, int(sample.end - start) + 1)):
                overlap = min(sample.end, start + column + 1) - max(sample.begin, start + column)
                if overlap > 0:
                    inbound[column] += sample.bytes_in * overlap / seconds
                    outbound[column] += sample.bytes_out * overlap / seconds
        return [Rate(i, o) for i, o in zip(inbound, outbound, strict=True)]
