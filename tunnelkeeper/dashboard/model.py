"""The model: the last status of the supervisor, updated by its events. Pure, without a clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from tunnelkeeper.control.payloads import (
    CountersEvent,
    Event,
    LogEvent,
    QuestionClosedEvent,
    QuestionEvent,
    RemovedEvent,
    TunnelCounters,
    TunnelEvent,
)
from tunnelkeeper.dashboard.throughput import NO_TRAFFIC, Meter, Rate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.core.snapshot import (
        LogRecord,
        QuestionSnapshot,
        StatusSnapshot,
        SupervisorSnapshot,
        TunnelSnapshot,
    )

MAX_RECORDS = 5000
"""Log records of all tunnels that are kept."""

MAX_TUNNEL_RECORDS = 200
"""Records that are kept of a log that was fetched for one tunnel."""

LOAD_WINDOW = 10.0
"""Seconds over which the CPU load is averaged."""


@dataclass(frozen=True, slots=True)
class Searching:
    """The feed has not reported anything yet."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """No supervisor answers. `reason` is a sentence, `since` is in monotonic seconds."""

    reason: str
    since: float


@dataclass(frozen=True, slots=True)
class Connected:
    """The supervisor answers."""


FeedState = Searching | Disconnected | Connected


@dataclass(slots=True)
class Model:
    """The last snapshot of the supervisor and of every tunnel, in the order of the config file.

    questions: the open questions by id, oldest first.
    """

    feed_state: FeedState = field(default_factory=Searching)
    supervisor: SupervisorSnapshot | None = None
    tunnels: dict[str, TunnelSnapshot] = field(default_factory=dict)
    records: deque[LogRecord] = field(default_factory=lambda: deque(maxlen=MAX_RECORDS))
    counters_at: float = 0.0
    """The time of the last counters, in monotonic seconds."""
    questions: dict[str, QuestionSnapshot] = field(default_factory=dict)
    total_meter: Meter = field(default_factory=lambda: Meter(0, 0))
    _login_ends: dict[str, float] = field(default_factory=dict)
    _awaited: dict[str, QuestionSnapshot] = field(default_factory=dict)
    _meters: dict[str, Meter] = field(default_factory=dict)
    _tunnel_records: dict[str, deque[LogRecord]] = field(default_factory=dict)
    _cpu_samples: deque[tuple[float, float]] = field(default_factory=deque)

    # -- updates -----------------------------------------------------------------------------

    def on_logs(self, records: Iterable[LogRecord]) -> None:
        """Replace all records by the log of a supervisor that was just reached."""
        self.records.clear()
        self.records.extend(records)
        self._tunnel_records.clear()

    def on_status(self, status: StatusSnapshot, now: float) -> None:
        """Replace all snapshots by a full status. It may come from another supervisor process."""
        is_new_process = self.supervisor is None or self.supervisor.pid != status.supervisor.pid
        self.feed_state = Connected()
        if is_new_process:
            self._meters.clear()
            self._cpu_samples.clear()
        self.tunnels = {tunnel.name: tunnel for tunnel in status.tunnels}
        for tunnel in status.tunnels:
            self._meter_of(tunnel).record(now, now, tunnel.bytes_in, tunnel.bytes_out)
        self.questions = {question.id: question for question in status.questions}
        self._login_ends = {}
        for question in status.questions:
            self._set_login_end(question, now)
        self._index_questions()
        self._set_supervisor(status.supervisor, now)
        self.total_meter.record(now, now, *self._total_bytes())
        self.counters_at = now

    def on_disconnect(self, reason: str, now: float) -> None:
        """Record that no supervisor answers. Keep the last snapshots."""
        since = self.feed_state.since if isinstance(self.feed_state, Disconnected) else now
        self.feed_state = Disconnected(reason, since)

    def on_event(self, event: Event, now: float) -> bool:
        """Apply an event. Return whether it adds a tunnel, whose position only a status shows."""
        match event:
            case TunnelEvent(tunnel):
                is_new = tunnel.name not in self.tunnels
                self.tunnels[tunnel.name] = tunnel
                self._record_traffic(tunnel, now)
                return is_new
            case RemovedEvent(name):
                self.tunnels.pop(name, None)
                self._meters.pop(name, None)
            case QuestionEvent(question):
                self.questions[question.id] = question
                self._set_login_end(question, now)
                self._index_questions()
            case QuestionClosedEvent(question_id):
                self.questions.pop(question_id, None)
                self._login_ends.pop(question_id, None)
                self._index_questions()
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
        """Store the log of one tunnel, which reaches further back than the shared log."""
        self._tunnel_records[name] = deque(records, maxlen=MAX_TUNNEL_RECORDS)

    # -- queries -----------------------------------------------------------------------------

    def throughput(self, name: str) -> Rate:
        """Return the current throughput of a tunnel."""
        meter = self._meters.get(name)
        return meter.rate(self.counters_at) if meter else NO_TRAFFIC

    def throughput_history(self, name: str, count: int) -> list[Rate]:
        """Return the throughput of a tunnel in each of the last `count` seconds, newest last."""
        meter = self._meters.get(name)
        return meter.history(self.counters_at, count) if meter else [NO_TRAFFIC] * count

    def tunnel_records(self, name: str) -> deque[LogRecord] | None:
        """Return the log that was fetched for a tunnel, or None."""
        return self._tunnel_records.get(name)

    def awaited_by(self, name: str) -> QuestionSnapshot | None:
        """Return the question that a tunnel waits for, the oldest if there are several."""
        return self._awaited.get(name)

    def seconds_left(self, question_id: str, now: float) -> float | None:
        """Return the seconds until the login of a question ends, or None if none is live."""
        end = self._login_ends.get(question_id)
        return None if end is None else max(0.0, end - now)

    @property
    def cpu_load(self) -> float | None:
        """The share of a CPU core that the supervisor uses, or None before two samples."""
        if len(self._cpu_samples) < 2:
            return None
        (begin, before), (end, after) = self._cpu_samples[0], self._cpu_samples[-1]
        return (after - before) / (end - begin)

    # -- internals ---------------------------------------------------------------------------

    def _meter_of(self, tunnel: TunnelSnapshot) -> Meter:
        new_meter = Meter(tunnel.bytes_in, tunnel.bytes_out)
        return self._meters.setdefault(tunnel.name, new_meter)

    def _record_traffic(self, tunnel: TunnelSnapshot, now: float) -> None:
        self._meter_of(tunnel).record(self.counters_at, now, tunnel.bytes_in, tunnel.bytes_out)

    def _set_login_end(self, question: QuestionSnapshot, now: float) -> None:
        if question.live and question.seconds_left is not None:
            self._login_ends[question.id] = now + question.seconds_left
        else:
            self._login_ends.pop(question.id, None)

    def _index_questions(self) -> None:
        """Find the question of each tunnel once, since every row asks for it at every redraw."""
        newest_first = reversed(self.questions.values())
        self._awaited = {name: question for question in newest_first for name in question.tunnels}

    def _apply_counters(self, changed: list[TunnelCounters], now: float) -> None:
        for counters in changed:
            tunnel = self.tunnels.get(counters.name)
            if tunnel is not None and (updated := apply_counters(tunnel, counters)) is not None:
                self.tunnels[tunnel.name] = updated
                self._record_traffic(updated, now)

    def _set_supervisor(self, supervisor: SupervisorSnapshot, now: float) -> None:
        self.supervisor = supervisor
        self._cpu_samples.append((now, supervisor.cpu_seconds))
        while self._cpu_samples[0][0] < now - LOAD_WINDOW and len(self._cpu_samples) > 2:
            self._cpu_samples.popleft()

    def _total_bytes(self) -> tuple[int, int]:
        tunnels = self.tunnels.values()
        return sum(t.bytes_in for t in tunnels), sum(t.bytes_out for t in tunnels)


def apply_counters(tunnel: TunnelSnapshot, counters: TunnelCounters) -> TunnelSnapshot | None:
    """Return the tunnel with new counters, or None if its hops or forwards have changed."""
    if len(counters.rtts_ms) != len(tunnel.hops) or len(counters.forwards) != len(tunnel.forwards):
        return None
    replace = msgspec.structs.replace
    forwards = [
        replace(forward, **msgspec.structs.asdict(forward_counters))
        for forward, forward_counters in zip(tunnel.forwards, counters.forwards, strict=True)
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
