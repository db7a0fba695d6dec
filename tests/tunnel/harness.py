"""A harness for runners: a fake clock, a fake SSH connection pool and an event log in memory."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import psutil

from tests.fake_clock import LONGER_THAN_ANY_STALL, FakeClock, until, within_deadline
from tests.tunnel.fake_ssh import Attempt, FakeConnection, FakeConnectionPool, FakeHostResolver
from tunnelkeeper.core.configuration import Backoff, Tunnel
from tunnelkeeper.core.forward_spec import parse_local, parse_remote, parse_socks
from tunnelkeeper.core.lifecycle import Start
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.tunnel.context import TunnelContext
from tunnelkeeper.tunnel.dependency_watcher import read_signatures
from tunnelkeeper.tunnel.event_log import EventLog
from tunnelkeeper.tunnel.runner import Runner
from tunnelkeeper.tunnel.snapshots import tunnel_snapshot
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tunnelkeeper.core.forward_spec import Forward
    from tunnelkeeper.core.snapshot import StateName, TunnelSnapshot
    from tunnelkeeper.ssh.connection_pool import ConnectionPool
    from tunnelkeeper.ssh.connection_tracker import ConnectionTracker
    from tunnelkeeper.tunnel.dependency_watcher import Signatures

STEADY = Backoff(initial=2, factor=2, max=60, jitter=0)
"""Delays of 2, 4, 8 ... 60 seconds; at most 5 without a handshake."""


def snapshot_of(runner: Runner) -> TunnelSnapshot:
    """Return the runner's tunnel as status shows it."""
    return tunnel_snapshot(runner, runner._context.clock)


def make_tunnel(name: str = "db", **changes: Any) -> Tunnel:
    """Make a tunnel to `relay`. local, remote and socks are forward specs as in a config file.

    forwards: Parsed forwards, listed before them. hold_timeout is longer than any test.
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


async def read_signatures_at_once(files: Iterable[str], _since: float) -> Signatures:
    """Read signatures without a thread, which a fake clock does not wait for."""
    return read_signatures(files)


@dataclass
class RunnerHarness:
    """Runners with fake dependencies. changes, up_calls: the calls of on_change and on_up."""

    tasks: IsolatedTaskGroup
    clock: FakeClock = field(default_factory=FakeClock)
    pool: FakeConnectionPool = field(default_factory=FakeConnectionPool)
    host_resolver: FakeHostResolver = field(default_factory=FakeHostResolver)
    log: io.StringIO = field(default_factory=io.StringIO)
    changes: list[str] = field(default_factory=list)
    up_calls: list[str] = field(default_factory=list)
    runners: list[Runner] = field(default_factory=list)
    event_log: EventLog = field(init=False)
    context: TunnelContext = field(init=False)

    def __post_init__(self) -> None:
        self.event_log = EventLog(self.clock, self.log, level="debug")
        self.context = TunnelContext(
            self.host_resolver,
            SshContext(connection_tracker=cast("ConnectionTracker", self.pool)),
            cast("ConnectionPool", self.pool),
            self.event_log,
            self.clock,
            self.changes.append,
            self.up_calls.append,
            read_signatures_at_once,
        )

    def runner(self, tunnel: Tunnel | None = None) -> Runner:
        """Return the runner of a tunnel that has not been started."""
        runner = Runner(tunnel or make_tunnel(), self.context, "seed")
        self.runners.append(runner)
        self.tasks.create_task(runner.run())
        return runner

    async def start(self, tunnel: Tunnel | None = None) -> tuple[Runner, Attempt]:
        """Start a tunnel. Return its runner and its attempt to connect."""
        runner = self.runner(tunnel)
        runner.send(Start())
        return runner, await self.next_attempt()

    async def connect(self, tunnel: Tunnel | None = None) -> tuple[Runner, FakeConnection]:
        """Start a tunnel and let it connect. Return its runner and its connection."""
        runner, attempt = await self.start(tunnel)
        connection = attempt.succeed()
        await until(lambda: snapshot_of(runner).state in {"up", "degraded"})
        return runner, connection

    async def next_attempt(self) -> Attempt:
        """Wait for the single pending attempt to connect."""
        await until(lambda: self.pool.pending_attempts)
        [attempt] = self.pool.pending_attempts
        return attempt


async def wait_for_state(runner: Runner, state: StateName) -> None:
    """Wait until a tunnel is in a state."""
    try:
        await until(lambda: snapshot_of(runner).state == state)
    except TimeoutError:
        raise AssertionError(f"not {state}: {snapshot_of(runner)}") from None


@asynccontextmanager
async def runner_harness() -> AsyncIterator[RunnerHarness]:
    """Yield a harness. Shut its runners down at the end and assert that nothing is left."""
    before = asyncio.all_tasks()
    async with within_deadline(), IsolatedTaskGroup() as tasks:
        harness = RunnerHarness(tasks)
        yield harness
        for runner in harness.runners:
            runner.shutdown()
        try:
            await until(lambda: asyncio.all_tasks() == before)
        except TimeoutError:
            raise AssertionError(f"still running: {asyncio.all_tasks() - before}") from None
    assert harness.clock.timers == []
    assert harness.pool.pending_attempts == []
    assert harness.pool.open_connections == []
    assert harness.pool.listening == []


async def send_request(port: int, request: bytes) -> bytes:
    """Send a request to a local port. Return the response up to EOF.

    Raises:
        ConnectionResetError: The client was rejected.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        with suppress(OSError):  # the client may already be rejected
            writer.write_eof()
        return await reader.read()
    finally:
        writer.transport.abort()


def is_bound(port: int) -> bool:
    """Return whether this process listens on a TCP port, without connecting to it."""
    return any(
        connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        for connection in psutil.Process().net_connections("tcp")
    )
