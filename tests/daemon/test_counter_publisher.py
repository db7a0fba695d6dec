"""What a subscriber with counters_every is told beside the events."""

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


def counters(told: list[Event]) -> list[CountersEvent]:
    return [event for event in told if isinstance(event, CountersEvent)]


def subscribed(
    harness: SupervisorHarness, every: float = 1.0
) -> tuple[list[Event], Callable[[], None]]:
    told: list[Event] = []
    return told, harness.supervisor.subscribe(told.append, every)


def runner(harness: SupervisorHarness, name: str) -> Runner:
    return harness.supervisor._registry.runner(name)


async def test_only_what_changed_is_told_and_the_process_each_time(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        await harness.start_and_connect("db", "relay")
        told, unsubscribe = subscribed(harness)
        await harness.clock.advance(1)
        runner(harness, "db").forwards[0].counters.bytes_in += 5
        await harness.clock.advance(1)
        await harness.clock.advance(1)
        unsubscribe()

        quiet, changed, quiet_again = counters(told)
        assert quiet.tunnels == quiet_again.tunnels == []
        assert quiet.supervisor.memory_bytes > 0
        assert [each.name for each in changed.tunnels] == ["db"]
        assert [each.bytes_in for each in changed.tunnels[0].forwards] == [5]


async def test_its_lists_are_as_long_as_those_of_status(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        await harness.start_and_connect("db", "relay")
        told, unsubscribe = subscribed(harness)
        for name in ("db", "web"):
            for forward in runner(harness, name).forwards:
                forward.counters.connections_total += 1
        await harness.clock.advance(1)
        unsubscribe()

        [event] = counters(told)
        for each in event.tunnels:
            snapshot = harness.tunnel(each.name)
            assert len(each.rtts_ms) == len(snapshot.hops)
            assert len(each.forwards) == len(snapshot.forwards)


async def test_nothing_comes_after_the_end_of_a_subscription(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        told, unsubscribe = subscribed(harness)
        unsubscribe()
        await harness.clock.advance(3)

        assert counters(told) == []


async def test_without_being_asked_for_none_comes(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        told: list[Event] = []
        harness.supervisor.subscribe(told.append)
        await harness.clock.advance(3)

        assert counters(told) == []


async def test_a_tunnel_that_a_reload_brings_is_told_though_it_does_not_start(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        told, unsubscribe = subscribed(harness)
        harness.write(TUNNELS + SPARE)
        await harness.supervisor.reload()
        await settle()
        await harness.clock.advance(1)
        unsubscribe()

        names = [event.tunnel.name for event in told if isinstance(event, TunnelEvent)]
        assert names == ["spare"]
