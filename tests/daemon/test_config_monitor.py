"""A config file that has changed since the supervisor read it is reported."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from tests.daemon.harness import SupervisorHarness, supervisor_harness
from tests.fake_clock import until
from tunnelkeeper.control.api import ConfigRejectedError
from tunnelkeeper.control.payloads import CountersEvent
from tunnelkeeper.daemon import config_monitor
from tunnelkeeper.daemon.config_monitor import ConfigMonitor
from tunnelkeeper.tunnel.dependency_watcher import read_signatures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tunnelkeeper.control.payloads import Event
    from tunnelkeeper.tunnel.dependency_watcher import Signatures

DB = '[tunnels.db]\nhost = "relay"\nremote = "2201:localhost:22"\nautostart = false\n'
WEB = '[tunnels.web]\nhost = "elsewhere"\nremote = "2202:localhost:22"\nautostart = false\n'


async def is_changed(harness: SupervisorHarness) -> bool:
    return (await harness.supervisor.status(None)).supervisor.config_changed


def edit(file: Path) -> None:
    file.write_text(file.read_text() + WEB)


def replace(file: Path) -> None:
    new = file.with_name("new.toml")
    new.write_text(file.read_text().replace("2201", "2203"))
    os.utime(new, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    new.replace(file)


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("change", [edit, replace, remove])
async def test_every_kind_of_change_is_reported(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        assert not await is_changed(harness)
        change(harness.file)
        assert await is_changed(harness)


async def test_a_reload_ends_the_report(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        harness.write(DB + WEB)
        assert await is_changed(harness)
        await harness.supervisor.reload()
        assert not await is_changed(harness)


async def test_a_rejected_reload_leaves_the_report(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        harness.write("[tunnels.db]\n")
        with pytest.raises(ConfigRejectedError):
            await harness.supervisor.reload()
        assert await is_changed(harness)


async def test_a_subscriber_is_informed(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        events: list[Event] = []
        unsubscribe = harness.supervisor.subscribe(events.append, 1.0)
        harness.write(DB + WEB)

        def is_informed() -> bool:
            return any(
                isinstance(event, CountersEvent) and event.supervisor.config_changed
                for event in events
            )

        while not is_informed():  # the look is in a thread
            await harness.clock.advance(1.0)
        unsubscribe()


async def test_a_disk_that_hangs_blocks_one_thread_and_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_answers, looks = threading.Event(), []

    def hang(files: Iterable[str]) -> Signatures:
        looks.append(files)
        disk_answers.wait()
        return {}

    monkeypatch.setattr(config_monitor, "LOOK_TIMEOUT", 0)
    monkeypatch.setattr(config_monitor, "read_signatures", hang)
    file = tmp_path / "tunnels.toml"
    monitor = ConfigMonitor(read_signatures([str(file)]))
    try:
        await monitor.look()
        await until(lambda: looks)
        for _ in range(3):
            await monitor.look()
        assert not monitor.has_changed
    finally:
        disk_answers.set()
    await until(lambda: monitor.has_changed)
    assert len(looks) == 1


async def test_a_look_that_began_before_a_reload_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_looked, disk_answers = threading.Event(), threading.Event()

    def look_late(files: Iterable[str]) -> Signatures:
        found = read_signatures(files)
        has_looked.set()
        disk_answers.wait()
        return found

    monkeypatch.setattr(config_monitor, "LOOK_TIMEOUT", 0)
    monkeypatch.setattr(config_monitor, "read_signatures", look_late)
    file = tmp_path / "tunnels.toml"
    monitor = ConfigMonitor(read_signatures([str(file)]))
    await monitor.look()
    await until(has_looked.is_set)
    file.write_text(DB)
    monitor.set_read(read_signatures([str(file)]))
    disk_answers.set()
    monkeypatch.setattr(config_monitor, "LOOK_TIMEOUT", 60)
    await monitor.look()
    assert not monitor.has_changed
