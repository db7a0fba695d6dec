"""Publishes to one subscriber what no event reports: counters, round trips and process statistics.

It reads all tunnels periodically and sends those that changed. It does not report state changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from tunnelkeeper.control.payloads import CountersEvent, TunnelCounters, TunnelEvent
from tunnelkeeper.tunnel.snapshots import tunnel_counters, tunnel_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.control.api import Listener
    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.snapshot import SupervisorSnapshot
    from tunnelkeeper.tunnel.runner import Runner


class CounterPublisher:
    """Publishes counters every `interval` seconds, from its creation to `stop`."""

    def __init__(
        self,
        interval: float,
        clock: Clock,
        get_runners: Callable[[], Iterable[Runner]],
        get_supervisor_snapshot: Callable[[], SupervisorSnapshot],
        listener: Listener,
    ) -> None:
        self._interval = interval
        self._clock = clock
        self._get_runners = get_runners
        self._get_supervisor_snapshot = get_supervisor_snapshot
        self._listener = listener
        # The subscriber gets earlier values from `status`.
        self._last_published = self._read_counters()
        self._timer = clock.call_at(clock.monotonic() + interval, self._publish)

    def stop(self) -> None:
        """Stop publishing."""
        self._timer.cancel()

    def _publish(self) -> None:
        before, self._last_published = self._last_published, self._read_counters()
        changed = []
        for runner in self._get_runners():
            tunnel, counters = self._last_published[runner.tunnel.name]
            tunnel_before, counters_before = before.get(tunnel.name, (None, None))
            if tunnel is not tunnel_before:
                # A new or changed configuration alone causes no event.
                self._listener(TunnelEvent(tunnel_snapshot(runner, self._clock)))
            elif counters != counters_before:
                changed.append(counters)
        self._listener(CountersEvent(self._get_supervisor_snapshot(), changed))
        self._timer = self._clock.call_at(self._clock.monotonic() + self._interval, self._publish)

    def _read_counters(self) -> dict[str, tuple[Tunnel, TunnelCounters]]:
        return {
            each.tunnel.name: (each.tunnel, tunnel_counters(each)) for each in self._get_runners()
        }


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
