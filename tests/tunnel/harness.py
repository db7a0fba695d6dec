"""Where runners live in a test: a clock that stands still, a far side in memory, a journal."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import psutil

from tests.fake_clock import LONGER_THAN_ANY_STALL, FakeClock, in_time, until
from tests.tunnel.fake_ssh import Attempt, FakeConnection, FakeFinder, FarSide
from tunnelkeeper.core.configuration import Backoff, Tunnel
from tunnelkeeper.core.forward_spec import parse_local, parse_remote, parse_socks
from tunnelkeeper.core.lifecycle import Start
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.tunnel.context import TunnelContext
from tunnelkeeper.tunnel.event_log import EventLog
from tunnelkeeper.tunnel.runner import Runner
from tunnelkeeper.tunnel.snapshots import tunnel_snapshot
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tunnelkeeper.core.forward_spec import Forward
    from tunnelkeeper.core.snapshot import StateName, TunnelSnapshot
    from tunnelkeeper.ssh.connection_pool import ConnectionPool
    from tunnelkeeper.ssh.connection_tracker import ConnectionTracker

STEADY = Backoff(initial=2, factor=2, max=60, jitter=0)
"""Waits of 2, 4, 8 ... 60 seconds, the free ones of at most 5."""


def snapshot_of(runner: Runner) -> TunnelSnapshot:
    """Return the runner's tunnel as status shows it."""
    return tunnel_snapshot(runner, runner._context.clock)


def a_tunnel(name: str = "db", **changes: Any) -> Tunnel:
    """A tunnel to `relay`. local, remote, socks: its forwards, as a config file has them.

    forwards: others, before them. Clients are held for as long as a test may take.
    """
    forwards: list[Forward] = [*changes.pop("forwards", ())]
    forwards += [parse_local(spec) for spec in changes.pop("local", ())]
    forwards += [parse_remote(spec) for spec in changes.pop("remote", ())]
    forwards += [parse_socks(spec) for spec in changes.pop("socks", ())]
    settings: dict[str, Any] = {
        "host": "relay",
        "backoff": STEADY,
        "hold_timeout": LONGER_THAN_ANY_STALL,
        **changes,
    }
    return Tunnel(name, forwards=tuple(forwards), **settings)


@dataclass
class Stage:
    """tasks owns the runners. changes and ups: the names that on_change and on_up were told."""

    tasks: IsolatedTaskGroup
    clock: FakeClock = field(default_factory=FakeClock)
    far: FarSide = field(default_factory=FarSide)
    finder: FakeFinder = field(default_factory=FakeFinder)
    log: io.StringIO = field(default_factory=io.StringIO)
    changes: list[str] = field(default_factory=list)
    ups: list[str] = field(default_factory=list)
    runners: list[Runner] = field(default_factory=list)
    journal: EventLog = field(init=False)
    services: TunnelContext = field(init=False)

    def __post_init__(self) -> None:
        self.journal = EventLog(self.clock, self.log, level="debug")
        self.services = TunnelContext(
            self.finder,
            SshContext(connection_tracker=cast("ConnectionTracker", self.far)),
            cast("ConnectionPool", self.far),
            self.journal,
            self.clock,
            self.changes.append,
            self.ups.append,
        )

    def runner(self, tunnel: Tunnel | None = None) -> Runner:
        """A tunnel that nobody has started yet."""
        runner = Runner(tunnel or a_tunnel(), self.services, "seed")
        self.runners.append(runner)
        self.tasks.create_task(runner.run())
        return runner

    async def started(self, tunnel: Tunnel | None = None) -> tuple[Runner, Attempt]:
        """A tunnel that is connecting, and how it does."""
        runner = self.runner(tunnel)
        runner.send(Start())
        return runner, await self.attempt()

    async def connected(self, tunnel: Tunnel | None = None) -> tuple[Runner, FakeConnection]:
        """A tunnel that is up or degraded, and its connection."""
        runner, attempt = await self.started(tunnel)
        connection = attempt.succeeds()
        await until(lambda: snapshot_of(runner).state in {"up", "degraded"})
        return runner, connection

    async def attempt(self) -> Attempt:
        """The one attempt to connect that is under way, once it is."""
        await until(lambda: self.far.under_way)
        [attempt] = self.far.under_way
        return attempt


async def becomes(runner: Runner, state: StateName) -> None:
    """Wait until a tunnel is in a state."""
    try:
        await until(lambda: snapshot_of(runner).state == state)
    except TimeoutError:
        raise AssertionError(f"not {state}: {snapshot_of(runner)}") from None


@asynccontextmanager
async def a_stage() -> AsyncIterator[Stage]:
    """A stage; at its end every tunnel is retired, and nothing is left of any."""
    before = asyncio.all_tasks()
    async with in_time(), IsolatedTaskGroup() as tasks:
        stage = Stage(tasks)
        yield stage
        for runner in stage.runners:
            runner.shutdown()
        try:
            await until(lambda: asyncio.all_tasks() == before)
        except TimeoutError:
            raise AssertionError(f"still there: {asyncio.all_tasks() - before}") from None
    assert stage.clock.timers == []
    assert stage.far.under_way == []
    assert stage.far.live == []
    assert stage.far.listening == []


async def ask(port: int, question: bytes) -> bytes:
    """What a client of a local port is answered, until the other side ends.

    Raises ConnectionResetError where it is turned away.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(question)
        with suppress(OSError):  # it may be turned away already
            writer.write_eof()
        return await reader.read()
    finally:
        writer.transport.abort()


def is_bound(port: int) -> bool:
    """Whether this process listens on a TCP port; no client is made to find out."""
    return any(
        connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        for connection in psutil.Process().net_connections("tcp")
    )
