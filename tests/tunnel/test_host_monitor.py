"""Reports of resumes and network changes, with a fake clock and network."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.fake_clock import FakeClock, settle, within_deadline
from tunnelkeeper.core import log_limiter
from tunnelkeeper.core.network_changes import Network
from tunnelkeeper.core.suspend_detection import CHECK_INTERVAL, MIN_STOPPED
from tunnelkeeper.tunnel import host_monitor
from tunnelkeeper.tunnel.event_log import THROTTLE_BURST, EventLog
from tunnelkeeper.tunnel.host_monitor import HostMonitor, monitoring
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOME = Network(
    frozenset({"192.0.2.2"}),
    frozenset({"default via 192.0.2.1 dev wlan0"}),
    frozenset({"192.0.2.2", "127.0.0.1"}),
)
ELSEWHERE = Network(
    frozenset({"198.51.100.7"}),
    frozenset({"default via 198.51.100.1 dev wlan0"}),
    frozenset({"198.51.100.7", "127.0.0.1"}),
)
EMPTY = Network(frozenset(), frozenset(), frozenset({"127.0.0.1"}))
PROBING = "probing every connection"


class FakeNetwork:
    """A fake net.network_source.NetworkSource. error: Raised by `read`."""

    def __init__(self) -> None:
        self.network = HOME
        self.error: OSError | None = None
        self.reads = 0
        self.is_closed = False
        self._notifications = asyncio.Queue[OSError | None]()

    def set_network(self, network: Network) -> None:
        """Change the network and send a notification."""
        self.network = network
        self.notify()

    def notify(self, error: OSError | None = None) -> None:
        self._notifications.put_nowait(error)

    def read(self) -> Network:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.network

    async def wait_for_change(self) -> None:
        error = await self._notifications.get()
        if error is not None:
            raise error

    def close(self) -> None:
        self.is_closed = True


@dataclass
class MonitorHarness:
    """A monitor under test. changes: the reported network changes. losses: their number."""

    clock: FakeClock = field(default_factory=FakeClock)
    source: FakeNetwork = field(default_factory=FakeNetwork)
    changes: list[frozenset[str] | None] = field(default_factory=list)
    losses: int = 0
    event_log: EventLog = field(init=False)

    def __post_init__(self) -> None:
        self.event_log = EventLog(self.clock)

    def count_loss(self) -> None:
        self.losses += 1

    @property
    def log(self) -> list[str]:
        return [record.message for record in self.event_log.tail(None, 10)]

    async def change_network(self, network: Network) -> None:
        """Change the network and advance the clock until the change is reported."""
        self.source.set_network(network)
        await self.clock.advance(1)


@pytest.fixture
async def harness(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MonitorHarness]:
    """Yield a running monitor. Assert that nothing is left of it at the end."""
    harness = MonitorHarness()
    monkeypatch.setattr(host_monitor, "open_network_source", lambda _: (harness.source, ""))
    async with running_monitor(harness):
        yield harness


@asynccontextmanager
async def running_monitor(harness: MonitorHarness) -> AsyncIterator[None]:
    async with within_deadline(), IsolatedTaskGroup() as tasks:
        monitor = HostMonitor(
            harness.clock, harness.event_log, harness.changes.append, harness.count_loss
        )
        async with monitoring(monitor, tasks):
            await settle()
            yield
    assert harness.clock.timers == []


# -- resumes ---------------------------------------------------------------------------------------


async def test_a_resume_is_reported_within_two_seconds(harness: MonitorHarness) -> None:
    harness.clock.suspended += 3 * 3600 + 12 * 60
    await harness.clock.advance(CHECK_INTERVAL)

    assert harness.changes == [None]
    assert harness.log == [f"woke after 3h 12m: {PROBING}"]


async def test_a_process_that_was_stopped_reports_a_resume(harness: MonitorHarness) -> None:
    harness.clock.counts_sleep = False
    await harness.clock.advance(CHECK_INTERVAL)
    harness.clock.now += MIN_STOPPED + CHECK_INTERVAL
    await harness.clock.advance(0)

    assert harness.changes == [None]
    assert harness.log == [f"this process was stopped for 5s: {PROBING}"]


async def test_the_count_of_a_flood_is_logged_although_nothing_else_is(
    harness: MonitorHarness,
) -> None:
    for number in range(THROTTLE_BURST + 7):
        harness.event_log.write_throttled("warning", "db", f"port {number} refused", "db")
    await harness.clock.advance(log_limiter.INTERVAL + CHECK_INTERVAL)

    assert "db: 7 more in the last minute, the last: port 26 refused" in harness.log


@pytest.mark.parametrize("seconds", [3600, -3600, 86400 * 365, -86400 * 365])
async def test_setting_the_wall_clock_is_not_a_resume(
    harness: MonitorHarness, seconds: float
) -> None:
    before = harness.clock.wall()
    harness.clock.wall_offset = seconds
    await harness.clock.advance(10)

    assert harness.clock.wall() != before
    assert harness.changes == []
    assert harness.log == []


async def test_passing_time_is_not_a_resume(harness: MonitorHarness) -> None:
    await harness.clock.advance(600)

    assert harness.changes == []


# -- the network -----------------------------------------------------------------------------------


async def test_a_network_change_is_reported_with_the_current_addresses(
    harness: MonitorHarness,
) -> None:
    await harness.change_network(ELSEWHERE)

    assert harness.changes == [ELSEWHERE.all_addresses]
    assert harness.log == [
        (
            "the network changed: + 198.51.100.7, + default via 198.51.100.1 dev wlan0, "
            f"- 192.0.2.2, - default via 192.0.2.1 dev wlan0; {PROBING}"
        )
    ]


async def test_a_burst_of_messages_is_one_change(harness: MonitorHarness) -> None:
    for network in (EMPTY, HOME, EMPTY, ELSEWHERE, ELSEWHERE):
        harness.source.set_network(network)
    await harness.clock.advance(10)

    assert harness.changes == [ELSEWHERE.all_addresses]


async def test_messages_without_a_change_are_not_reported(harness: MonitorHarness) -> None:
    for _ in range(10):
        harness.source.notify()
    await harness.clock.advance(60)

    assert harness.changes == []
    assert harness.log == []


async def test_a_lost_network_is_reported_only_once_it_is_back(harness: MonitorHarness) -> None:
    await harness.change_network(EMPTY)
    await harness.change_network(EMPTY)
    assert harness.changes == []
    assert harness.losses == 1

    await harness.change_network(HOME)

    assert harness.changes == [HOME.all_addresses]
    assert harness.log == [
        "the network is gone: - 192.0.2.2, - default via 192.0.2.1 dev wlan0",
        f"the network is back: as it was; {PROBING}",
    ]


async def test_a_change_of_a_lost_network_ends_waits_without_probes(
    harness: MonitorHarness,
) -> None:
    await harness.change_network(Network(HOME.addresses, frozenset()))
    await harness.change_network(
        Network(HOME.addresses, frozenset(), policies=frozenset({"rule 9: from all prohibit"}))
    )

    assert (harness.changes, harness.losses) == ([], 2)
    assert harness.log == [
        "the network is gone: - default via 192.0.2.1 dev wlan0",
        "the network changed: + rule 9: from all prohibit; it is not back yet",
    ]


async def test_a_resume_without_a_network_waits_for_the_network(harness: MonitorHarness) -> None:
    harness.source.network = EMPTY  # its notification has not been read yet
    harness.clock.suspended += 60
    await harness.clock.advance(CHECK_INTERVAL)
    assert harness.changes == []
    assert harness.log[1:] == ["woke after 1m; the network is not back yet"]

    await harness.change_network(ELSEWHERE)

    assert harness.changes == [ELSEWHERE.all_addresses]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_a_change_is_reported_late_if_it_cannot_be_read_at_once(
    harness: MonitorHarness, number: int
) -> None:
    harness.source.error = OSError(number, os.strerror(number))
    await harness.change_network(ELSEWHERE)
    await harness.clock.advance(12)
    assert harness.changes == []
    assert harness.log == []

    harness.source.error = None
    await harness.clock.advance(5)

    assert harness.changes == [ELSEWHERE.all_addresses]
    assert not harness.source.is_closed


async def test_a_retry_to_read_the_network_ends_with_the_monitor(harness: MonitorHarness) -> None:
    harness.source.error = OSError(errno.EMFILE, "Too many open files")
    await harness.change_network(ELSEWHERE)

    assert harness.source.reads == 2  # the fixture checks that no timer is left


@pytest.mark.parametrize("while_waiting", [True, False])
async def test_a_failing_network_source_is_logged_once_and_resumes_are_still_reported(
    harness: MonitorHarness, while_waiting: bool
) -> None:
    error = OSError(errno.EACCES, "Permission denied")
    if while_waiting:
        harness.source.notify(error)
    else:
        harness.source.error = error
        harness.source.notify()
    await harness.clock.advance(10)
    harness.clock.suspended += 60
    await harness.clock.advance(10)

    assert harness.source.is_closed
    assert harness.log == [
        (
            "network changes cannot be monitored (Permission denied); unanswered keepalives "
            "detect them later"
        ),
        f"woke after 1m: {PROBING}",
    ]


async def test_without_a_network_source_resumes_are_still_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_source(_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(host_monitor, "open_network_source", no_source)
    harness = MonitorHarness()
    async with running_monitor(harness):
        harness.clock.suspended += 60
        await harness.clock.advance(CHECK_INTERVAL)

    assert harness.changes == [None]
    assert "cannot be monitored (Permission denied)" in harness.log[0]


async def test_a_limited_network_source_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = MonitorHarness()
    monkeypatch.setattr(
        host_monitor, "open_network_source", lambda _: (harness.source, "only a poll")
    )
    async with running_monitor(harness):
        assert harness.log == ["only a poll"]


async def test_monitoring_ends_with_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = MonitorHarness()
    monkeypatch.setattr(host_monitor, "open_network_source", lambda _: (harness.source, ""))
    async with running_monitor(harness):
        assert not harness.source.is_closed

    assert harness.source.is_closed
