"""Resource usage of the supervisor process, for status."""

from __future__ import annotations

from dataclasses import dataclass, field

import psutil


@dataclass(frozen=True, slots=True)
class ProcessStats:
    """The usage at one moment. cpu_seconds is user plus system time."""

    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    open_files: int = 0


@dataclass(slots=True)
class ProcessStatsReader:
    """Measures this process.

    A measurement needs a file descriptor. If none is free, the last result is returned, because
    that is when people ask for the status.
    """

    _process: psutil.Process = field(default_factory=psutil.Process)
    _last: ProcessStats = field(default_factory=ProcessStats)

    def read(self) -> ProcessStats:
        """Return the current usage, or the last known one if it cannot be measured."""
        try:
            with self._process.oneshot():
                times = self._process.cpu_times()
                memory = self._process.memory_info().rss
            self._last = ProcessStats(
                memory_bytes=memory,
                cpu_seconds=round(times.user + times.system, 3),
                open_files=self._process.num_fds(),
            )
        except (OSError, psutil.Error):
            return self._last
        return self._last
