"""Connections that are kept in use because their server closes unused ones."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.daemon.harness import SupervisorHarness, supervisor_harness
from tests.fake_clock import FakeClock, until
from tests.tunnel.fake_ssh import make_host
from tunnelkeeper.core.forward_spec import parse_local, parse_remote, parse_socks
from tunnelkeeper.core.health_checks import CheckFailed
from tunnelkeeper.tunnel.connection_user import keep_in_use

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.core.forward_spec import Forward

INTERVAL = 30.0


@dataclass
class FakeForward:
    """A forward that counts how often it was used."""

    forward: Forward
    state: str = "listening"
    works: bool = True
    check: Any = None
    used: int = 0

    async def probe(self, _connection: object, _check: object) -> CheckFailed | None:
        self.used += 1
        return None if self.works else CheckFailed("refused", "")


@dataclass
class FakeCheck:
    """The check loop of a forward. is_running: whether it has a connection to check."""

    is_running: bool = True
    used: int = 0

    def check_soon(self) -> bool:
        self.used += self.is_running
        return self.is_running


@dataclass
class FakeConnection:
    """A connection whose time without a channel a test sets."""

    unused_seconds: float | None = 0.0
    is_closed: bool = False
    host: object = field(default_factory=make_host)


@dataclass
class Keeper:
    """A connection that is kept in use by these forwards."""

    clock: FakeClock
    connection: FakeConnection = field(default_factory=FakeConnection)
    forwards: list[FakeForward] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def run(self) -> None:
        await keep_in_use(
            cast("Any", self.connection),
            INTERVAL,
            lambda: cast("Any", self.forwards),
            self.clock,
            self.complaints.append,
        )

    async def after(self, unused: float | None) -> None:
        """Let the time pass for which the connection has been unused."""
        self.connection.unused_seconds = unused
        await self.clock.advance(INTERVAL)


@pytest.fixture
async def keeper() -> AsyncIterator[Keeper]:
    keeper = Keeper(FakeClock())
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(keeper.run())
        yield keeper
        task.cancel()


async def test_a_connection_without_a_channel_is_used_by_the_first_forward_that_works(
    keeper: Keeper,
) -> None:
    dead = FakeForward(parse_local("1:gone:1"), works=False)
    works = FakeForward(parse_remote("2222:localhost:22"))
    keeper.forwards = [dead, works, FakeForward(parse_local("2:web:80"))]

    await keeper.after(INTERVAL)
    await keeper.after(INTERVAL)

    assert [each.used for each in keeper.forwards] == [2, 2, 0]
    assert keeper.complaints == []


async def test_a_connection_with_a_channel_or_one_just_closed_is_left_alone(
    keeper: Keeper,
) -> None:
    keeper.forwards = [FakeForward(parse_local("1:web:80"))]

    for unused in (None, 0.0, INTERVAL / 2):
        await keeper.after(unused)

    assert keeper.forwards[0].used == 0


async def test_a_connection_is_used_when_its_time_without_a_channel_has_passed(
    keeper: Keeper,
) -> None:
    keeper.forwards = [FakeForward(parse_local("1:web:80"))]
    await keeper.after(INTERVAL / 3)

    keeper.connection.unused_seconds = INTERVAL
    await keeper.clock.advance(INTERVAL * 2 / 3)

    assert keeper.forwards[0].used == 1


async def test_the_check_of_a_forward_is_run_in_place_of_another_connection(
    keeper: Keeper,
) -> None:
    check = FakeCheck()
    keeper.forwards = [FakeForward(parse_socks("1080"), check=check)]

    await keeper.after(INTERVAL)

    assert (check.used, keeper.forwards[0].used) == (1, 0)


async def test_forwards_that_cannot_be_used_are_reported_once(keeper: Keeper) -> None:
    keeper.forwards = [
        FakeForward(parse_socks("1080")),
        FakeForward(parse_remote("1081")),
        FakeForward(parse_local("1:web:80"), state="failed"),
        FakeForward(parse_local("2:gone:1"), works=False),
        FakeForward(parse_local("3:web:80"), works=False, check=FakeCheck(is_running=False)),
    ]

    await keeper.after(INTERVAL)
    await keeper.after(INTERVAL)

    assert [each.used for each in keeper.forwards] == [0, 0, 0, 2, 2]
    assert keeper.complaints == [
        "me@relay:22 will close the connection: it has no forward with a target that answers"
    ]


async def test_it_ends_with_the_connection(keeper: Keeper) -> None:
    keeper.forwards = [FakeForward(parse_local("1:web:80"))]
    keeper.connection.is_closed = True

    await keeper.after(INTERVAL)
    await until(lambda: not keeper.clock.timers)

    assert keeper.forwards[0].used == 0


async def connect(harness: SupervisorHarness) -> None:
    while len(harness.pool.pending_attempts) < 2:
        await harness.clock.advance(1)  # the first retry
    for attempt in list(harness.pool.pending_attempts):
        attempt.succeed()
    for name in ("a", "b"):
        await harness.wait_for_state(name, "up")


async def test_a_server_that_restarts_is_not_taken_for_one_that_closes_unused_connections(
    tmp_path: Path,
) -> None:
    keys = 'host = "relay", remote ='
    file = f"[tunnels]\na = {{ {keys} '2201:b:22' }}\nb = {{ {keys} '2202:b:22' }}\n"
    async with supervisor_harness(tmp_path, file) as harness:
        await harness.supervisor.start(["a", "b"], None)
        await connect(harness)
        for connection in list(harness.pool.open_connections):
            connection.unused_seconds = 300.0
            connection.lose()
        await until(lambda: not harness.pool.open_connections)
        await connect(harness)
        assert "closes connections that have no channel" not in harness.log.getvalue()

        for connection in list(harness.pool.open_connections):
            connection.unused_seconds = 300.0
            connection.lose()
        await until(
            lambda: "closes connections that have no channel after 5m" in harness.log.getvalue()
        )
