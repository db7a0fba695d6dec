"""Reports of resumes and network changes, with a fake clock and network."""

from __future__ import annotations

import asyncio
import errno
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.fake_clock import FakeClock, settle, within_deadline
from tunnelkeeper.core.network_changes import Network
from tunnelkeeper.core.suspend_detection import CHECK_INTERVAL, MIN_STOPPED
from tunnelkeeper.tunnel import host_monitor as vigil_module
from tunnelkeeper.tunnel.event_log import EventLog
from tunnelkeeper.tunnel.host_monitor import HostMonitor, monitoring
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOME = Network(
    frozenset({"192.0.2.2"}),
    frozenset({"default via 192.0.2.1 dev wlan0"}),
    frozenset({"192.0.2.2", "127.0.0.1"}),
)
ABROAD = Network(
    frozenset({"198.51.100.7"}),
    frozenset({"default via 198.51.100.1 dev wlan0"}),
    frozenset({"198.51.100.7", "127.0.0.1"}),
)
NOWHERE = Network(frozenset(), frozenset(), frozenset({"127.0.0.1"}))
ASKING = "asking every connection whether it still lives"


class FakeNetwork:
    """A fake net.network_source.NetworkSource. error: Raised by `read`."""

    def __init__(self) -> None:
        self.network = HOME
        self.error: OSError | None = None
        self.looks = 0
        self.is_closed = False
        self._news = asyncio.Queue[OSError | None]()

    def becomes(self, network: Network) -> None:
        """Change the network and send a notification."""
        self.network = network
        self.tells()

    def tells(self, error: OSError | None = None) -> None:
        self._news.put_nowait(error)

    def read(self) -> Network:
        self.looks += 1
        if self.error is not None:
            raise self.error
        return self.network

    async def wait_for_change(self) -> None:
        error = await self._news.get()
        if error is not None:
            raise error

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Scene:
    """A monitor under test. moves: the reported network changes."""

    clock: FakeClock = field(default_factory=FakeClock)
    source: FakeNetwork = field(default_factory=FakeNetwork)
    moves: list[frozenset[str] | None] = field(default_factory=list)
    journal: EventLog = field(init=False)

    def __post_init__(self) -> None:
        self.journal = EventLog(self.clock)

    @property
    def log(self) -> list[str]:
        return [record.message for record in self.journal.tail(None, 10)]

    async def sees(self, network: Network) -> None:
        """Change the network and advance the clock until the change is reported."""
        self.source.becomes(network)
        await self.clock.advance(1)


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """Yield a running monitor. Assert that nothing is left of it at the end."""
    scene = Scene()
    monkeypatch.setattr(vigil_module, "open_network_source", lambda _: (scene.source, ""))
    async with kept(scene):
        yield scene


@asynccontextmanager
async def kept(scene: Scene) -> AsyncIterator[None]:
    async with within_deadline(), IsolatedTaskGroup() as tasks:
        vigil = HostMonitor(scene.clock, scene.journal, scene.moves.append)
        async with monitoring(vigil, tasks):
            await settle()
            yield
    assert scene.clock.timers == []


# -- wakes -----------------------------------------------------------------------------------------


async def test_a_resume_is_reported_within_two_seconds(scene: Scene) -> None:
    scene.clock.suspended += 3 * 3600 + 12 * 60
    await scene.clock.advance(CHECK_INTERVAL)

    assert scene.moves == [None]
    assert scene.log == [f"woke after 3h 12m: {ASKING}"]


async def test_a_process_that_was_stopped_reports_a_resume(scene: Scene) -> None:
    scene.clock.counts_sleep = False
    await scene.clock.advance(CHECK_INTERVAL)
    scene.clock.now += MIN_STOPPED + CHECK_INTERVAL
    await scene.clock.advance(0)

    assert scene.moves == [None]
    assert scene.log == [f"this process was stopped for 5s: {ASKING}"]


@pytest.mark.parametrize("seconds", [3600, -3600, 86400 * 365, -86400 * 365])
async def test_setting_the_wall_clock_is_not_a_resume(scene: Scene, seconds: float) -> None:
    before = scene.clock.wall()
    scene.clock.wall_offset = seconds
    await scene.clock.advance(10)

    assert scene.clock.wall() != before
    assert scene.moves == []
    assert scene.log == []


async def test_passing_time_is_not_a_resume(scene: Scene) -> None:
    await scene.clock.advance(600)

    assert scene.moves == []


# -- the network -----------------------------------------------------------------------------------


async def test_a_network_change_is_reported_with_the_current_addresses(scene: Scene) -> None:
    await scene.sees(ABROAD)

    assert scene.moves == [ABROAD.all_addresses]
    assert scene.log == [
        (
            "the network changed: + 198.51.100.7, + default via 198.51.100.1 dev wlan0, "
            f"- 192.0.2.2, - default via 192.0.2.1 dev wlan0; {ASKING}"
        )
    ]


async def test_a_burst_of_messages_is_one_change(scene: Scene) -> None:
    for network in (NOWHERE, HOME, NOWHERE, ABROAD, ABROAD):
        scene.source.becomes(network)
    await scene.clock.advance(10)

    assert scene.moves == [ABROAD.all_addresses]


async def test_messages_without_a_change_are_not_reported(scene: Scene) -> None:
    for _ in range(10):
        scene.source.tells()
    await scene.clock.advance(60)

    assert scene.moves == []
    assert scene.log == []


async def test_a_lost_network_is_reported_only_once_it_is_back(scene: Scene) -> None:
    await scene.sees(NOWHERE)
    assert scene.moves == []

    await scene.sees(HOME)

    assert scene.moves == [HOME.all_addresses]
    assert scene.log == [
        "the network is gone: - 192.0.2.2, - default via 192.0.2.1 dev wlan0",
        f"the network is back: as it was; {ASKING}",
    ]


async def test_a_resume_without_a_network_waits_for_the_network(scene: Scene) -> None:
    scene.source.network = NOWHERE  # its notification has not been read yet
    scene.clock.suspended += 60
    await scene.clock.advance(CHECK_INTERVAL)
    assert scene.moves == []
    assert scene.log[1:] == ["woke after 1m; the network is not back yet"]

    await scene.sees(ABROAD)

    assert scene.moves == [ABROAD.all_addresses]


@pytest.mark.parametrize("while_waiting", [True, False])
async def test_a_failing_network_source_is_logged_once_and_resumes_are_still_reported(
    scene: Scene, while_waiting: bool
) -> None:
    error = OSError(errno.ENOBUFS, "No buffer space available")
    if while_waiting:
        scene.source.tells(error)
    else:
        scene.source.error = error
        scene.source.tells()
    await scene.clock.advance(10)
    scene.clock.suspended += 60
    await scene.clock.advance(10)

    assert scene.source.is_closed
    assert scene.log == [
        (
            "changes of the network cannot be watched here (No buffer space available); unanswered "
            "keepalives tell of them, later"
        ),
        f"woke after 1m: {ASKING}",
    ]


async def test_without_a_network_source_resumes_are_still_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_source(_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(vigil_module, "open_network_source", no_source)
    scene = Scene()
    async with kept(scene):
        scene.clock.suspended += 60
        await scene.clock.advance(CHECK_INTERVAL)

    assert scene.moves == [None]
    assert "cannot be watched here (Permission denied)" in scene.log[0]


async def test_a_limited_network_source_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    monkeypatch.setattr(
        vigil_module, "open_network_source", lambda _: (scene.source, "only a poll")
    )
    async with kept(scene):
        assert scene.log == ["only a poll"]


async def test_monitoring_ends_with_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    monkeypatch.setattr(vigil_module, "open_network_source", lambda _: (scene.source, ""))
    async with kept(scene):
        assert not scene.source.is_closed

    assert scene.source.is_closed
