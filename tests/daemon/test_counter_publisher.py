"""The counters that a subscriber with counters_every receives in addition to events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.daemon.harness import SupervisorHarness, supervisor_harness
from tests.fake_clock import settle
from tunnelkeeper.control.payloads import CountersEvent, TunnelEvent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tunnelkeeper.control.payloads import Event
    from tunnelkeeper.tunnel.runner import Runner

TUNNELS = """
[tunnels.db]
host = "relay"
remote = "2201:localhost:22"
[tunnels.web]
host = "elsewhere"
remote = "2202:localhost:22"
"""
SPARE = '[tunnels.spare]\nhost = "relay"\nremote = "2203:localhost:22"\nautostart = false\n'


def counters(events: list[Event]) -> list[CountersEvent]:
    return [event for event in events if isinstance(event, CountersEvent)]


def subscribe(
    harness: SupervisorHarness, every: float = 1.0
) -> tuple[list[Event], Callable[[], None]]:
    events: list[Event] = []
    return events, harness.supervisor.subscribe(events.append, every)


def runner(harness: SupervisorHarness, name: str) -> Runner:
    return harness.supervisor._registry.runner(name)


async def test_only_changed_counters_are_sent_and_process_statistics_always(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        await harness.start_and_connect("db", "relay")
        events, unsubscribe = subscribe(harness)
        await harness.clock.advance(1)
        runner(harness, "db").forwards[0].counters.bytes_in += 5
        await harness.clock.advance(1)
        await harness.clock.advance(1)
        unsubscribe()

        unchanged, changed, unchanged_again = counters(events)
        assert unchanged.tunnels == unchanged_again.tunnels == []
        assert unchanged.supervisor.memory_bytes > 0
        assert [tunnel.name for tunnel in changed.tunnels] == ["db"]
        assert [forward.bytes_in for forward in changed.tunnels[0].forwards] == [5]


async def test_counter_lists_match_those_of_status(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        await harness.start_and_connect("db", "relay")
        events, unsubscribe = subscribe(harness)
        for name in ("db", "web"):
            for forward in runner(harness, name).forwards:
                forward.counters.connections_total += 1
        await harness.clock.advance(1)
        unsubscribe()

        [event] = counters(events)
        for tunnel in event.tunnels:
            snapshot = harness.tunnel(tunnel.name)
            assert len(tunnel.rtts_ms) == len(snapshot.hops)
            assert len(tunnel.forwards) == len(snapshot.forwards)


async def test_nothing_is_sent_after_unsubscribe(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        events, unsubscribe = subscribe(harness)
        unsubscribe()
        await harness.clock.advance(3)

        assert counters(events) == []


async def test_counters_are_sent_only_on_request(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        events: list[Event] = []
        harness.supervisor.subscribe(events.append)
        await harness.clock.advance(3)

        assert counters(events) == []


async def test_a_tunnel_added_by_a_reload_is_published_even_if_it_does_not_start(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        events, unsubscribe = subscribe(harness)
        harness.write(TUNNELS + SPARE)
        await harness.supervisor.reload()
        await settle()
        await harness.clock.advance(1)
        unsubscribe()

        names = [event.tunnel.name for event in events if isinstance(event, TunnelEvent)]
        assert names == ["spare"]
