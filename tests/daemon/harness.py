"""A harness for a whole supervisor: a config file, a fake clock and a fake SSH connection pool."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from tests.fake_clock import FakeClock, until, within_deadline
from tests.tunnel.fake_ssh import Attempt, FakeConnection, FakeConnectionPool, HostChain, make_host
from tunnelkeeper.config import load
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.daemon.supervisor import Supervisor
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.tunnel.event_log import EventLog
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.core.configuration import Configuration, Tunnel
    from tunnelkeeper.core.snapshot import StateName, TunnelSnapshot
    from tunnelkeeper.ssh.connection_pool import ConnectionPool
    from tunnelkeeper.ssh.connection_tracker import ConnectionTracker

HEAD = '[supervisor]\nlog_level = "debug"\n[defaults]\nbackoff = { initial = 2, jitter = 0 }\n'


class ConfigHostResolver:
    """A tunnel.context.HostResolver that reads only the tables of the config file.

    errors: The exceptions that lookups raise, by tunnel name. slow: What a lookup waits for.
    """

    def __init__(
        self,
        configuration: Configuration,
        errors: dict[str, Exception],
        slow: dict[str, asyncio.Event],
    ) -> None:
        self._hosts = configuration.hosts
        self._errors = errors
        self._slow = slow

    async def resolve(self, tunnel: Tunnel) -> HostChain:
        await asyncio.sleep(0)
        if tunnel.name in self._slow:
            await self._slow[tunnel.name].wait()
        if tunnel.name in self._errors:
            raise self._errors[tunnel.name]
        jump_hosts = tunnel.options.jump or ()
        return (*(self._host(name) for name in jump_hosts), make_host(tunnel.host))

    async def config_files(self) -> tuple[str, ...]:
        return ()

    def forget(self) -> None:
        pass

    def _host(self, name: str) -> Host:
        options = self._hosts.get(name)
        hostname = options.hostname if options else None
        return Host(name=name, hostname=hostname or name, user="me")


@dataclass
class SupervisorHarness:
    """A supervisor with fake dependencies. errors, slow: passed to ConfigHostResolver."""

    file: Path
    tasks: IsolatedTaskGroup
    clock: FakeClock = field(default_factory=FakeClock)
    pool: FakeConnectionPool = field(default_factory=FakeConnectionPool)
    log: io.StringIO = field(default_factory=io.StringIO)
    errors: dict[str, Exception] = field(default_factory=dict)
    slow: dict[str, asyncio.Event] = field(default_factory=dict)
    start_added: bool = True
    supervisor: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        configuration = load(self.file)
        self.supervisor = Supervisor(
            configuration,
            EventLog(self.clock, self.log, configuration.supervisor.log_level),
            self.clock,
            SshContext(connection_tracker=cast("ConnectionTracker", self.pool)),
            cast("ConnectionPool", self.pool),
            self.tasks,
            lambda read: ConfigHostResolver(read, self.errors, self.slow),
            start_added=self.start_added,
        )

    def write(self, text: str) -> None:
        """Change the config file."""
        self.file.write_text(HEAD + text)

    def tunnel(self, name: str) -> TunnelSnapshot:
        """Return the snapshot of a tunnel."""
        return self.supervisor.snapshot([name]).tunnels[0]

    def states(self) -> dict[str, StateName]:
        """Return the state of every tunnel, in the order of status."""
        return {tunnel.name: tunnel.state for tunnel in self.supervisor.snapshot(None).tunnels}

    async def wait_for_state(self, name: str, state: StateName) -> None:
        """Wait until a tunnel is in a state."""
        try:
            await until(lambda: self.tunnel(name).state == state)
        except TimeoutError:
            raise AssertionError(f"not {state}: {self.tunnel(name)}") from None

    async def next_attempt(self, host: str) -> Attempt:
        """Wait for the pending attempt to connect to a host."""

        def pending() -> list[Attempt]:
            return [a for a in self.pool.pending_attempts if a.host_chain[-1].name == host]

        await until(pending)
        [attempt] = pending()
        return attempt

    async def start_and_connect(self, name: str, host: str) -> FakeConnection:
        """Start a tunnel and let it connect."""
        await self.supervisor.start([name], None)
        connection = (await self.next_attempt(host)).succeed()
        await self.wait_for_state(name, "up")
        return connection


@asynccontextmanager
async def supervisor_harness(
    folder: Path, text: str, *, start_added: bool = True
) -> AsyncIterator[SupervisorHarness]:
    """Yield a running supervisor. Close it at the end and assert that nothing is left."""
    file = folder / "tunnels.toml"
    file.write_text(HEAD + text)
    before = asyncio.all_tasks()
    async with within_deadline(), IsolatedTaskGroup() as tasks:
        harness = SupervisorHarness(file, tasks, start_added=start_added)
        yield harness
        await harness.supervisor.close()
    assert asyncio.all_tasks() == before
    assert harness.clock.timers == []
    assert harness.pool.pending_attempts == []
    assert harness.pool.open_connections == []
