"""The model: the last status, updated by events."""

from __future__ import annotations

import msgspec
import pytest

from tests.control.fakes import NOON, a_forward, a_tunnel
from tests.dashboard.sample_model import DB, SUPERVISOR, make_model
from tests.dashboard.sample_questions import CODES, HOST_KEY, PASSPHRASE, RESTING
from tunnelkeeper.control.payloads import (
    CountersEvent,
    ForwardCounters,
    LogEvent,
    QuestionClosedEvent,
    QuestionEvent,
    RemovedEvent,
    TunnelCounters,
    TunnelEvent,
)
from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot, SupervisorSnapshot
from tunnelkeeper.dashboard.model import Connected, Disconnected, Model, Searching
from tunnelkeeper.dashboard.throughput import NO_TRAFFIC, Rate


def counters_event(name: str, inward: int, rtts: list[float | None]) -> CountersEvent:
    return CountersEvent(
        SUPERVISOR, [TunnelCounters(name, rtts, [ForwardCounters(inward, 0, 2, 5)])]
    )


def supervisor(cpu_seconds: float, pid: int = 83) -> SupervisorSnapshot:
    return msgspec.structs.replace(SUPERVISOR, cpu_seconds=cpu_seconds, pid=pid)


def test_counters_update_a_tunnel_and_its_rates() -> None:
    model = make_model(DB)
    model.on_event(counters_event("db", 3000, [7.5]), model.counters_at + 2)

    tunnel = model.tunnels["db"]
    assert (tunnel.bytes_in, tunnel.connections, tunnel.connections_total) == (3000, 2, 5)
    assert tunnel.forwards[0].bytes_in == 3000
    assert tunnel.rtt_ms == tunnel.hops[0].rtt_ms == 7.5
    assert model.throughput("db") == Rate(1500, 0)
    assert model.total_meter.rate(model.counters_at) == Rate(1500, 0)


@pytest.mark.parametrize(
    "event",
    [
        counters_event("db", 1, []),
        counters_event("db", 1, [1.0, 2.0]),
        counters_event("gone", 1, [1.0]),
    ],
)
def test_counters_for_other_hops_or_tunnels_are_ignored(event: CountersEvent) -> None:
    model = make_model(DB)
    model.on_event(event, model.counters_at + 1)

    assert list(model.tunnels.values()) == [DB]


def test_an_event_about_an_unknown_tunnel_requests_the_status() -> None:
    model = make_model(DB)

    assert not model.on_event(TunnelEvent(a_tunnel("db", "backoff")), 1001)
    assert model.on_event(TunnelEvent(a_tunnel("new")), 1001)
    assert not model.on_event(RemovedEvent("new"), 1001)
    assert {name: tunnel.state for name, tunnel in model.tunnels.items()} == {"db": "backoff"}


def test_rates_survive_a_reload_and_restart_with_another_supervisor() -> None:
    model = make_model(DB)
    model.on_event(counters_event("db", 3000, [1.0]), 1001)
    model.on_status(StatusSnapshot(SUPERVISOR, [model.tunnels["db"]]), 1001)
    assert sum(rate.inbound for rate in model.throughput_history("db", 5)) == pytest.approx(3000)

    model.on_status(StatusSnapshot(supervisor(0, pid=84), [DB]), 1002)
    assert model.throughput_history("db", 5) == [NO_TRAFFIC] * 5


def test_the_cpu_load_is_that_of_the_last_seconds() -> None:
    model = make_model(DB)
    assert model.cpu_load is None
    for second in range(1, 31):
        busy = 0.5 * max(0, second - 20)
        model.on_event(CountersEvent(supervisor(1.0 + busy), []), model.counters_at + 1)

    assert model.cpu_load == pytest.approx(0.5, abs=0.06)


def test_records_are_kept_for_all_tunnels_and_for_a_fetched_log() -> None:
    model = make_model(DB)
    model.set_tunnel_records("db", [LogRecord(NOON, "info", "db", "long ago")])
    for name in ("db", "web"):
        model.on_event(LogEvent(LogRecord(NOON, "info", name, "now")), 1001)

    assert [record.message for record in model.tunnel_records("db") or ()] == ["long ago", "now"]
    assert [record.tunnel for record in model.records] == ["db", "", "db", "web"]
    assert model.tunnel_records("web") is None


def test_a_disconnect_keeps_the_snapshots_and_the_time_of_the_first_failure() -> None:
    model = make_model(DB)
    model.on_disconnect("no supervisor is running", 1005)
    model.on_disconnect("no supervisor is running", 1009)

    assert model.feed_state == Disconnected("no supervisor is running", 1005)
    assert list(model.tunnels.values()) == [DB]


def test_the_feed_state_is_searching_until_the_first_report() -> None:
    assert Model().feed_state == Searching()
    assert make_model(DB).feed_state == Connected()


def test_changed_forwards_restart_their_counters() -> None:
    model = make_model(DB)
    model.on_event(counters_event("db", 3000, [1.0]), 1001)
    model.on_event(TunnelEvent(msgspec.structs.replace(DB, forwards=[a_forward()])), 1002)

    assert model.tunnels["db"].bytes_in == 0
    assert sum(rate.inbound for rate in model.throughput_history("db", 5)) == pytest.approx(3000)


def test_questions_follow_the_events_and_keep_their_order() -> None:
    model = make_model()
    assert model.questions == {}  # as with a supervisor that knows no questions
    later = msgspec.structs.replace(HOST_KEY, attempt=2)
    for question in (PASSPHRASE, HOST_KEY, later):
        model.on_event(QuestionEvent(question), 1000)
    assert list(model.questions.values()) == [PASSPHRASE, later]
    assert model.awaited_by("stuck") is PASSPHRASE
    model.on_event(QuestionClosedEvent("q1", "answered"), 1000)
    assert model.awaited_by("stuck") is later
    assert model.awaited_by("away") is None
    model.on_status(StatusSnapshot(SUPERVISOR, [DB], [PASSPHRASE]), 1001)
    assert list(model.questions) == ["q1"]


def test_the_time_left_for_an_answer_ends_with_the_login() -> None:
    model = make_model()
    model.on_event(QuestionEvent(CODES), 1000)
    assert model.seconds_left("q3", 1010) == 80
    assert model.seconds_left("q3", 2000) == 0
    model.on_event(QuestionEvent(RESTING), 1020)
    assert model.seconds_left("q3", 1020) is None
