"""What the supervisor itself takes of the machine, as status shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

import psutil


@dataclass(frozen=True, slots=True)
class ProcessStats:
    """At a moment. cpu_seconds: of user and system together."""

    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    open_files: int = 0


@dataclass(slots=True)
class ProcessStatsReader:
    """Measures this process. Where the system cannot be asked, the last answer holds.

    Asking takes a descriptor, and just when there is none, people ask for the status.
    """

    _process: psutil.Process = field(default_factory=psutil.Process)
    _last: ProcessStats = field(default_factory=ProcessStats)

    def read(self) -> ProcessStats:
        """What is used now."""
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
