"""What a service manager hears of a supervisor: ready when ready, and a heart that beats."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.daemon.harness import Supervision, supervision
from tests.fake_clock import settled
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
async def reported(
    folder: Path, text: str, ready: Ready = "tried", watchdog: float = 0.0
) -> AsyncIterator[tuple[Supervision, FakeServiceManager]]:
    """A supervisor whose tunnels were just started, and the manager that is told of it."""
    with listening(str(folder / "notify")) as service_manager:
        async with supervision(folder, text) as held:
            started = await held.supervisor.start([], None)
            manager = service_manager.manager(watchdog)
            async with notifying(held.supervisor, manager, held.clock, ready, started):
                await settled()
                yield held, service_manager


async def test_it_is_ready_once_every_tunnel_was_tried(tmp_path: Path) -> None:
    async with reported(tmp_path, DB + WEB + LAZY) as (held, service_manager):
        (await held.attempt("relay")).fails(REFUSED)
        await held.becomes("db", "backoff")
        await settled()
        assert service_manager.count("READY=1") == 0

        (await held.attempt("elsewhere")).succeeds()
        await held.becomes("web", "up")
        await settled()

        assert service_manager.count("READY=1") == 1
        assert service_manager.status().startswith("1 of 2 up; db: refused: ")


async def test_it_can_be_ready_only_when_all_are_up(tmp_path: Path) -> None:
    async with reported(tmp_path, DB, ready="up") as (held, service_manager):
        (await held.attempt("relay")).fails(DENIED)
        await held.becomes("db", "blocked")
        await held.clock.passes(1)
        assert service_manager.status().startswith("starting: 0 of 1 up; db: auth: ")
        assert service_manager.count("READY=1") == 0

        await held.supervisor.restart(["db"], None)
        (await held.attempt("relay")).succeeds()
        await held.becomes("db", "up")
        await settled()

        assert service_manager.count("READY=1") == 1
        assert service_manager.status() == "1 of 1 up"


async def test_with_nothing_to_start_it_is_ready_at_once(tmp_path: Path) -> None:
    async with reported(tmp_path, LAZY) as (_, service_manager):
        assert service_manager.count("READY=1") == 1


async def test_a_long_start_asks_for_time_until_it_is_done(tmp_path: Path) -> None:
    extension = f"EXTEND_TIMEOUT_USEC={START_EXTENSION * 1e6:.0f}"
    async with reported(tmp_path, DB) as (held, service_manager):
        await held.clock.passes(START_EXTENSION)
        asked = service_manager.count(extension)
        assert asked >= 3

        (await held.attempt("relay")).succeeds()
        await held.becomes("db", "up")
        await held.clock.passes(START_EXTENSION)

        assert service_manager.count(extension) == asked


async def test_the_line_of_status_follows_but_not_more_than_once_a_second(tmp_path: Path) -> None:
    async with reported(tmp_path, DB) as (held, service_manager):
        connection = (await held.attempt("relay")).succeeds()
        await held.becomes("db", "up")
        await held.clock.passes(5)
        before = len(service_manager.heard())

        for _ in range(20):
            await held.supervisor.stop(["db"], None)
            await held.supervisor.start(["db"], None)
            connection = (await held.attempt("relay")).succeeds()
            await held.becomes("db", "up")
        await held.supervisor.stop(["db"], None)
        await held.clock.passes(5)

        assert connection is not None
        assert len(service_manager.heard()) - before <= 3
        assert service_manager.status() == "no tunnel is wanted"


async def test_a_heart_beats_twice_as_often_as_is_wanted(tmp_path: Path) -> None:
    async with reported(tmp_path, LAZY, watchdog=10.0) as (held, service_manager):
        assert service_manager.count("WATCHDOG=1") == 1
        await held.clock.passes(20)
        assert service_manager.count("WATCHDOG=1") == 5


async def test_a_reload_is_told_and_its_end_too_also_when_the_file_is_bad(tmp_path: Path) -> None:
    async with reported(tmp_path, LAZY) as (held, service_manager):
        await held.supervisor.reload()
        assert service_manager.count("RELOADING=1") == 1
        assert service_manager.count("READY=1") == 2

        held.file.write_text("tunnels = 1\n")
        with pytest.raises(ConfigRejectedError):
            await held.supervisor.reload()
        assert service_manager.count("RELOADING=1") == 2
        assert service_manager.count("READY=1") == 3


async def test_a_reload_before_it_is_ready_makes_nobody_believe_it_is(tmp_path: Path) -> None:
    async with reported(tmp_path, DB) as (held, service_manager):
        await held.supervisor.reload()

        assert service_manager.count("READY=1") == 0


async def test_a_tunnel_that_a_reload_takes_away_is_not_waited_for(tmp_path: Path) -> None:
    async with reported(tmp_path, DB + WEB) as (held, service_manager):
        (await held.attempt("elsewhere")).succeeds()
        await held.becomes("web", "up")
        held.write(WEB)
        await held.supervisor.reload()
        await settled()

        assert service_manager.count("READY=1") == 1


async def test_the_end_is_told(tmp_path: Path) -> None:
    with listening(str(tmp_path / "notify")) as service_manager:
        async with supervision(tmp_path, LAZY) as held:
            manager = service_manager.manager()
            async with notifying(held.supervisor, manager, held.clock, "tried", []):
                await settled()
            assert service_manager.count("STOPPING=1") == 1


async def test_without_a_manager_nobody_is_listened_to(tmp_path: Path) -> None:
    async with (
        supervision(tmp_path, LAZY) as held,
        notifying(held.supervisor, ServiceManager(), held.clock, "tried", []),
    ):
        assert not held.supervisor._listeners
