"""Notifications to the service manager: readiness, status, reloads and watchdog pings."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.daemon.harness import SupervisorHarness, supervisor_harness
from tests.fake_clock import settle
from tests.systemd.listener import FakeServiceManager, listening
from tests.tunnel.fake_ssh import DENIED, REFUSED
from tunnelkeeper.control.api import ConfigRejectedError
from tunnelkeeper.daemon.sd_notify import START_EXTENSION, notifying
from tunnelkeeper.systemd.notify import ServiceManager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.systemd.unit_templates import Ready

DB = '[tunnels.db]\nhost = "relay"\nremote = "2201:localhost:22"\n'
WEB = '[tunnels.web]\nhost = "elsewhere"\nremote = "2202:localhost:22"\n'
LAZY = '[tunnels.lazy]\nhost = "third"\nremote = "2203:localhost:22"\nautostart = false\n'


@asynccontextmanager
async def notified(
    folder: Path, text: str, ready: Ready = "tried", watchdog: float = 0.0
) -> AsyncIterator[tuple[SupervisorHarness, FakeServiceManager]]:
    """Yield a supervisor whose tunnels were just started, and the manager that it notifies."""
    with listening(str(folder / "notify")) as service_manager:
        async with supervisor_harness(folder, text) as harness:
            started = await harness.supervisor.start([], None)
            manager = service_manager.client(watchdog)
            async with notifying(harness.supervisor, manager, harness.clock, ready, started):
                await settle()
                yield harness, service_manager


async def test_it_is_ready_once_every_tunnel_was_attempted(tmp_path: Path) -> None:
    async with notified(tmp_path, DB + WEB + LAZY) as (harness, service_manager):
        (await harness.next_attempt("relay")).fail(REFUSED)
        await harness.wait_for_state("db", "backoff")
        await settle()
        assert service_manager.count("READY=1") == 0

        (await harness.next_attempt("elsewhere")).succeed()
        await harness.wait_for_state("web", "up")
        await settle()

        assert service_manager.count("READY=1") == 1
        assert service_manager.status().startswith("1 of 2 up; db: refused: ")


async def test_it_can_be_ready_only_once_all_tunnels_are_up(tmp_path: Path) -> None:
    async with notified(tmp_path, DB, ready="up") as (harness, service_manager):
        (await harness.next_attempt("relay")).fail(DENIED)
        await harness.wait_for_state("db", "blocked")
        await harness.clock.advance(1)
        assert service_manager.status().startswith("starting: 0 of 1 up; db: auth: ")
        assert service_manager.count("READY=1") == 0

        await harness.supervisor.restart(["db"], None)
        (await harness.next_attempt("relay")).succeed()
        await harness.wait_for_state("db", "up")
        await settle()

        assert service_manager.count("READY=1") == 1
        assert service_manager.status() == "1 of 1 up"


async def test_it_is_ready_at_once_without_tunnels_to_start(tmp_path: Path) -> None:
    async with notified(tmp_path, LAZY) as (_, service_manager):
        assert service_manager.count("READY=1") == 1


async def test_a_long_start_extends_the_start_timeout(tmp_path: Path) -> None:
    extension = f"EXTEND_TIMEOUT_USEC={START_EXTENSION * 1e6:.0f}"
    async with notified(tmp_path, DB) as (harness, service_manager):
        await harness.clock.advance(START_EXTENSION)
        extensions = service_manager.count(extension)
        assert extensions >= 3

        (await harness.next_attempt("relay")).succeed()
        await harness.wait_for_state("db", "up")
        await harness.clock.advance(START_EXTENSION)

        assert service_manager.count(extension) == extensions


async def test_the_status_line_is_updated_at_most_once_a_second(tmp_path: Path) -> None:
    async with notified(tmp_path, DB) as (harness, service_manager):
        connection = (await harness.next_attempt("relay")).succeed()
        await harness.wait_for_state("db", "up")
        await harness.clock.advance(5)
        before = len(service_manager.messages())

        for _ in range(20):
            await harness.supervisor.stop(["db"], None)
            await harness.supervisor.start(["db"], None)
            connection = (await harness.next_attempt("relay")).succeed()
            await harness.wait_for_state("db", "up")
        await harness.supervisor.stop(["db"], None)
        await harness.clock.advance(5)

        assert connection is not None
        assert len(service_manager.messages()) - before <= 3
        assert service_manager.status() == "no tunnel is wanted"


async def test_watchdog_pings_are_sent_at_half_the_interval(tmp_path: Path) -> None:
    async with notified(tmp_path, LAZY, watchdog=10.0) as (harness, service_manager):
        assert service_manager.count("WATCHDOG=1") == 1
        await harness.clock.advance(20)
        assert service_manager.count("WATCHDOG=1") == 5


async def test_a_reload_is_notified_even_if_the_file_is_bad(tmp_path: Path) -> None:
    async with notified(tmp_path, LAZY) as (harness, service_manager):
        await harness.supervisor.reload()
        assert service_manager.count("RELOADING=1") == 1
        assert service_manager.count("READY=1") == 2

        harness.file.write_text("tunnels = 1\n")
        with pytest.raises(ConfigRejectedError):
            await harness.supervisor.reload()
        assert service_manager.count("RELOADING=1") == 2
        assert service_manager.count("READY=1") == 3


async def test_a_reload_before_readiness_sends_no_ready(tmp_path: Path) -> None:
    async with notified(tmp_path, DB) as (harness, service_manager):
        await harness.supervisor.reload()

        assert service_manager.count("READY=1") == 0


async def test_readiness_does_not_wait_for_a_removed_tunnel(tmp_path: Path) -> None:
    async with notified(tmp_path, DB + WEB) as (harness, service_manager):
        (await harness.next_attempt("elsewhere")).succeed()
        await harness.wait_for_state("web", "up")
        harness.write(WEB)
        await harness.supervisor.reload()
        await settle()

        assert service_manager.count("READY=1") == 1


async def test_stopping_is_notified_at_the_end(tmp_path: Path) -> None:
    with listening(str(tmp_path / "notify")) as service_manager:
        async with supervisor_harness(tmp_path, LAZY) as harness:
            manager = service_manager.client()
            async with notifying(harness.supervisor, manager, harness.clock, "tried", []):
                await settle()
            assert service_manager.count("STOPPING=1") == 1


async def test_without_a_manager_there_is_no_subscription(tmp_path: Path) -> None:
    async with (
        supervisor_harness(tmp_path, LAZY) as harness,
        notifying(harness.supervisor, ServiceManager(), harness.clock, "tried", []),
    ):
        assert not harness.supervisor._listeners
