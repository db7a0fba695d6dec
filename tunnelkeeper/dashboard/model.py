"""What is known of the supervisor: its last picture, kept true by events; pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from tunnelkeeper.control.payloads import (
    CountersEvent,
    Event,
    LogEvent,
    RemovedEvent,
    TunnelCounters,
    TunnelEvent,
)
from tunnelkeeper.dashboard.throughput import IDLE, Meter, Rate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.core.snapshot import (
        LogRecord,
        StatusSnapshot,
        SupervisorSnapshot,
        TunnelSnapshot,
    )

MAX_RECORDS = 5000
MAX_TUNNEL_RECORDS = 200
LOAD_WINDOW = 10.0
"""Seconds over which the processor's load is told."""


@dataclass(frozen=True, slots=True)
class Searching:
    """Nothing was heard yet."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """Nobody answers. why: in a sentence. since: monotonic seconds."""

    reason: str
    since: float


@dataclass(frozen=True, slots=True)
class Connected:
    """The supervisor answers."""


FeedState = Searching | Disconnected | Connected


@dataclass(slots=True)
class Model:
    """Of every tunnel the last snapshot, in the order of the config file."""

    feed_state: FeedState = field(default_factory=Searching)
    supervisor: SupervisorSnapshot | None = None
    tunnels: dict[str, TunnelSnapshot] = field(default_factory=dict)
    records: deque[LogRecord] = field(default_factory=lambda: deque(maxlen=MAX_RECORDS))
    counters_at: float = 0.0
    """When the counters were told last, in monotonic seconds."""
    version: int = 0
    """Grows with every change of the tunnels."""
    total_meter: Meter = field(default_factory=lambda: Meter(0, 0))
    _meters: dict[str, Meter] = field(default_factory=dict)
    _tunnel_records: dict[str, deque[LogRecord]] = field(default_factory=dict)
    _cpu_samples: deque[tuple[float, float]] = field(default_factory=deque)

    # -- what happens ------------------------------------------------------------------------

    def on_logs(self, records: Iterable[LogRecord]) -> None:
        """Start from the log of a supervisor."""
        self.records.clear()
        self.records.extend(records)
        self._tunnel_records.clear()

    def on_status(self, status: StatusSnapshot, now: float) -> None:
        """Start from the whole picture of a supervisor, which need not be the one before."""
        is_another = self.supervisor is None or self.supervisor.pid != status.supervisor.pid
        self.feed_state = Connected()
        if is_another:
            self._meters.clear()
            self._cpu_samples.clear()
        self.tunnels = {tunnel.name: tunnel for tunnel in status.tunnels}
        for tunnel in status.tunnels:
            self._meter_of(tunnel).record(now, now, tunnel.bytes_in, tunnel.bytes_out)
        self._set_supervisor(status.supervisor, now)
        self.total_meter.record(now, now, *self._total_bytes())
        self.counters_at = now
        self.version += 1

    def on_disconnect(self, why: str, now: float) -> None:
        """Nobody answers any more; the last picture stays."""
        since = self.feed_state.since if isinstance(self.feed_state, Disconnected) else now
        self.feed_state = Disconnected(why, since)

    def on_event(self, event: Event, now: float) -> bool:
        """Take an event in; returns whether it is about a tunnel whose place is not known."""
        match event:
            case TunnelEvent(tunnel):
                is_new = tunnel.name not in self.tunnels
                self.tunnels[tunnel.name] = tunnel
                self._record_traffic(tunnel, now)
                self.version += 1
                return is_new
            case RemovedEvent(name):
                self.tunnels.pop(name, None)
                self._meters.pop(name, None)
                self.version += 1
            case CountersEvent(supervisor, changed):
                self._apply_counters(changed, now)
                self._set_supervisor(supervisor, now)
                self.total_meter.record(self.counters_at, now, *self._total_bytes())
                self.counters_at = now
            case LogEvent(record):
                self.records.append(record)
                if record.tunnel in self._tunnel_records:
                    self._tunnel_records[record.tunnel].append(record)
        return False

    def set_tunnel_records(self, name: str, records: Iterable[LogRecord]) -> None:
        """Keep a tunnel's own log, which reaches further back than the common one."""
        self._tunnel_records[name] = deque(records, maxlen=MAX_TUNNEL_RECORDS)

    # -- what is so --------------------------------------------------------------------------

    def rate(self, name: str) -> Rate:
        """Bytes per second of a tunnel now."""
        meter = self._meters.get(name)
        return meter.rate(self.counters_at) if meter else IDLE

    def series(self, name: str, count: int) -> list[Rate]:
        """A tunnel's rates of the last seconds, newest last."""
        meter = self._meters.get(name)
        return meter.series(self.counters_at, count) if meter else [IDLE] * count

    def tunnel_records(self, name: str) -> deque[LogRecord] | None:
        """A tunnel's own log, where it was recalled."""
        return self._tunnel_records.get(name)

    @property
    def cpu_load(self) -> float | None:
        """The share of a processor core that the supervisor takes; None while not known."""
        if len(self._cpu_samples) < 2:
            return None
        (begin, before), (end, after) = self._cpu_samples[0], self._cpu_samples[-1]
        return (after - before) / (end - begin)

    # -- inside ------------------------------------------------------------------------------

    def _meter_of(self, tunnel: TunnelSnapshot) -> Meter:
        made = Meter(tunnel.bytes_in, tunnel.bytes_out)
        return self._meters.setdefault(tunnel.name, made)

    def _record_traffic(self, tunnel: TunnelSnapshot, now: float) -> None:
        self._meter_of(tunnel).record(self.counters_at, now, tunnel.bytes_in, tunnel.bytes_out)

    def _apply_counters(self, changed: list[TunnelCounters], now: float) -> None:
        for counters in changed:
            tunnel = self.tunnels.get(counters.name)
            if tunnel is not None and (counted := with_counters(tunnel, counters)) is not None:
                self.tunnels[tunnel.name] = counted
                self._record_traffic(counted, now)
        if changed:
            self.version += 1

    def _set_supervisor(self, supervisor: SupervisorSnapshot, now: float) -> None:
        self.supervisor = supervisor
        self._cpu_samples.append((now, supervisor.cpu_seconds))
        while self._cpu_samples[0][0] < now - LOAD_WINDOW and len(self._cpu_samples) > 2:
            self._cpu_samples.popleft()

    def _total_bytes(self) -> tuple[int, int]:
        tunnels = self.tunnels.values()
        return sum(t.bytes_in for t in tunnels), sum(t.bytes_out for t in tunnels)


def with_counters(tunnel: TunnelSnapshot, counters: TunnelCounters) -> TunnelSnapshot | None:
    """The tunnel with its counters as they are now; None where they are of another shape."""
    if len(counters.rtts_ms) != len(tunnel.hops) or len(counters.forwards) != len(tunnel.forwards):
        return None
    replace = msgspec.structs.replace
    forwards = [
        replace(forward, **msgspec.structs.asdict(counted))
        for forward, counted in zip(tunnel.forwards, counters.forwards, strict=True)
    ]
    hops = [
        replace(hop, rtt_ms=rtt) for hop, rtt in zip(tunnel.hops, counters.rtts_ms, strict=True)
    ]
    return replace(
        tunnel,
        forwards=forwards,
        hops=hops,
        rtt_ms=counters.rtts_ms[-1] if counters.rtts_ms else None,
        bytes_in=sum(f.bytes_in for f in counters.forwards),
        bytes_out=sum(f.bytes_out for f in counters.forwards),
        connections=sum(f.connections for f in counters.forwards),
        connections_total=sum(f.connections_total for f in counters.forwards),
    )
