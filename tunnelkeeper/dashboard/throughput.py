"""Traffic over time, from counters that are told now and then; pure, time is handed in.

Samples are kept only where something flowed, so a thousand idle tunnels cost nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

HISTORY_SECONDS = 300.0
"""Seconds that are remembered: the widest chart has a column for each second of five minutes."""


class Rate(NamedTuple):
    """Bytes per second."""

    inbound: float
    outbound: float

    @property
    def total(self) -> float:
        """Both ways."""
        return self.inbound + self.outbound


IDLE = Rate(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """What flowed between two moments, in bytes."""

    begin: float
    end: float
    bytes_in: int
    bytes_out: int


@dataclass(slots=True)
class Meter:
    """The traffic of one tunnel, or of all. Times are monotonic seconds."""

    bytes_in: int
    bytes_out: int
    _samples: deque[Sample] = field(default_factory=deque)

    def record(self, begin: float, now: float, inward: int, outward: int) -> None:
        """Take over the counters. begin: when they were last known to be what they were.

        Counters that went back are those of another supervisor, or of changed forwards.
        """
        more_in, more_out = inward - self.bytes_in, outward - self.bytes_out
        self.bytes_in, self.bytes_out = inward, outward
        if self._samples:
            begin = max(begin, self._samples[-1].end)
        if more_in < 0 or more_out < 0 or not (more_in or more_out) or begin >= now:
            return
        self._samples.append(Sample(begin, now, more_in, more_out))
        while self._samples[0].end < now - HISTORY_SECONDS:
            self._samples.popleft()

    def rate(self, as_of: float) -> Rate:
        """What flowed when the counters were told last, at as_of."""
        if not self._samples or self._samples[-1].end < as_of:
            return IDLE
        last = self._samples[-1]
        seconds = last.end - last.begin
        return Rate(last.bytes_in / seconds, last.bytes_out / seconds)

    def series(self, as_of: float, count: int) -> list[Rate]:
        """The rate of each of the last `count` seconds, newest last."""
        inward, outward = [0.0] * count, [0.0] * count
        start = as_of - count
        for sample in reversed(self._samples):
            if sample.end <= start:
                break
            seconds = sample.end - sample.begin
            first = max(0, int(sample.begin - start))
            for column in range(first, min(count, int(sample.end - start) + 1)):
                overlap = min(sample.end, start + column + 1) - max(sample.begin, start + column)
                if overlap > 0:
                    inward[column] += sample.bytes_in * overlap / seconds
                    outward[column] += sample.bytes_out * overlap / seconds
        return [Rate(i, o) for i, o in zip(inward, outward, strict=True)]
