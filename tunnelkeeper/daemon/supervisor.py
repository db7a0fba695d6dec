"""The supervisor: does what the control socket asks for, with keeper, journal and config file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from tunnelkeeper import __version__
from tunnelkeeper.clock import iso
from tunnelkeeper.config import ConfigError, load_with_warnings
from tunnelkeeper.control.api import (
    ConfigRejectedError,
    Listener,
    NoSuchTunnelError,
    RequestFailedError,
)
from tunnelkeeper.control.payloads import Event, LogEvent, RemovedEvent, TunnelEvent
from tunnelkeeper.core.config_diff import describe, diff
from tunnelkeeper.core.connect_error import ConnectError
from tunnelkeeper.core.forward_spec import SpecError, parse_target
from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot, SupervisorSnapshot
from tunnelkeeper.core.states import (
    session_count,
)
from tunnelkeeper.core.text import printable
from tunnelkeeper.daemon.counter_publisher import CounterPublisher
from tunnelkeeper.daemon.process_stats import ProcessStatsReader
from tunnelkeeper.daemon.tunnel_registry import TunnelRegistry
from tunnelkeeper.sshconfig import SshConfigError
from tunnelkeeper.tunnel.context import HostResolver, TunnelContext
from tunnelkeeper.tunnel.snapshots import tunnel_snapshot
from tunnelkeeper.tunnel.stdio_stream import relay_stream

if TYPE_CHECKING:
    import socket

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.core.configuration import Configuration, Tunnel
    from tunnelkeeper.ssh.connection_pool import ConnectionPool
    from tunnelkeeper.ssh.context import SshContext
    from tunnelkeeper.tunnel.event_log import EventLog

FinderOf = Callable[["Configuration"], "HostResolver"]


class Supervisor:
    """Holds the tunnels of one configuration. tasks owns everything that runs.

    starts_added: whether a tunnel with autostart that a reload brings is started; not so where only
    some tunnels were asked for. stopping is set when the end was asked for; around_reload is
    entered around every reload.
    """

    def __init__(
        self,
        configuration: Configuration,
        journal: EventLog,
        clock: Clock,
        ssh_context: SshContext,
        connection_pool: ConnectionPool,
        tasks: asyncio.TaskGroup,
        finder_of: FinderOf,
        *,
        starts_added: bool = True,
    ) -> None:
        self.stopping = asyncio.Event()
        self.around_reload: Callable[[], AbstractContextManager[None]] = nullcontext
        self._configuration = configuration
        self._journal = journal
        self._clock = clock
        self._started_at = iso(clock.wall())
        self._finder_of = finder_of
        self._starts_added = starts_added
        self._listeners: set[Listener] = set()
        self._meter = ProcessStatsReader()
        self._reloading = asyncio.Lock()
        finder = finder_of(configuration)
        self._services = TunnelContext(
            finder,
            ssh_context,
            connection_pool,
            journal,
            clock,
            self._tunnel_changed,
            self._tunnel_up,
        )
        self._keeper = TunnelRegistry(self._services, tasks, self._tunnel_removed)
        journal.on_record = lambda record: self._tell(LogEvent(record))
        for tunnel in configuration.tunnels.values():
            self._keeper.add(tunnel)

    # -- control.api.Supervised -------------------------------------------------------

    def status(self, names: list[str] | None) -> StatusSnapshot:
        """See Supervised."""
        tunnels = self._keeper.snapshots(names)
        return StatusSnapshot(self._snapshot(), tunnels)

    async def start(self, names: list[str], group: str | None) -> list[str]:
        """See Supervised."""
        return self._keeper.start(names, group)

    async def stop(self, names: list[str], group: str | None) -> list[str]:
        """See Supervised."""
        return await self._keeper.stop(names, group)

    async def restart(
        self, names: list[str], group: str | None, *, graceful: bool = False
    ) -> list[str]:
        """See Supervised."""
        return self._keeper.restart(names, group, graceful=graceful)

    async def reload(self) -> list[str]:
        """See Supervised."""
        async with self._reloading:
            with self.around_reload():
                return await self._reload()

    def logs(self, name: str | None, lines: int) -> list[LogRecord]:
        """See Supervised."""
        if name is not None:
            self._keeper.runner(name)
        return self._journal.tail(name, lines)

    def shutdown(self) -> None:
        """See Supervised."""
        self.stopping.set()

    def subscribe(
        self, listener: Listener, counters_every: float | None = None
    ) -> Callable[[], None]:
        """See Supervised."""
        self._listeners.add(listener)
        pulse = None
        if counters_every is not None:
            runners = self._keeper.runners
            pulse = CounterPublisher(counters_every, self._clock, runners, self._snapshot, listener)

        def unsubscribe() -> None:
            self._listeners.discard(listener)
            if pulse is not None:
                pulse.stop()

        return unsubscribe

    async def connect(
        self, name: str, target: str, sock: socket.socket, early: bytes, confirm: Callable[[], None]
    ) -> None:
        """See Supervised."""
        runner = self._keeper.runner(name)
        try:
            address = parse_target(target)
        except SpecError as error:
            raise RequestFailedError(str(error)) from error
        try:
            await relay_stream(
                sock, early, confirm, runner.gate, address, timeout=runner.tunnel.hold_timeout
            )
        except ConnectError as refusal:
            raise RequestFailedError(f"{name}: {target}: {refusal}{self._why(name)}") from refusal

    # -- for main ----------------------------------------------------------------------------

    async def reload_or_complain(self) -> None:
        """Reload as SIGHUP asks for it: nobody waits for the answer, so problems are logged."""
        try:
            await self.reload()
        except ConfigRejectedError as bad:
            for problem in bad.problems:
                self._journal.write("error", "", problem)
            self._journal.write("error", "", str(bad))

    def network_changed(self, present: frozenset[str] | None) -> None:
        """See Keeper."""
        self._keeper.network_changed(present)

    async def close(self) -> None:
        """Stop all tunnels."""
        await self._keeper.close()

    def abort_connections(self) -> None:
        """End what `close` was waiting for."""
        self._keeper.abort_connections()

    # -- inside ------------------------------------------------------------------------------

    def _snapshot(self) -> SupervisorSnapshot:
        usage = self._meter.read()
        return SupervisorSnapshot(
            version=__version__,
            pid=os.getpid(),
            config=self._configuration.path,
            started_at=self._started_at,
            memory_bytes=usage.memory_bytes,
            cpu_seconds=usage.cpu_seconds,
            open_files=usage.open_files,
        )

    async def _reload(self) -> list[str]:
        try:
            new, warnings = load_with_warnings(self._configuration.path)
        except ConfigError as error:
            raise ConfigRejectedError([str(problem) for problem in error.problems]) from error
        finder = self._finder_of(new)
        old_tunnels = self._keeper.tunnels
        changes = diff(old_tunnels, new.tunnels, await self._changed_ways(finder, new))
        for warning in warnings:
            self._journal.write("warning", "", str(warning))
        self._configuration = new
        self._services.host_resolver = finder
        self._journal.level = new.supervisor.log_level
        self._journal.format = new.supervisor.log_format
        await self._keeper.apply(changes, new.tunnels, starts_added=self._starts_added)
        sentences = [describe(change) for change in changes]
        self._journal.write("info", "", f"reloaded: {'; '.join(sentences) or 'nothing changed'}")
        return sentences

    async def _changed_ways(self, finder: HostResolver, new: Configuration) -> frozenset[str]:
        """The tunnels whose session has other hosts than those that are looked up now."""
        changed = set()
        for name, tunnel in new.tunnels.items():
            way = self._way_in_use(name)
            if way and await self._way_of(finder, tunnel) not in {way, None}:
                changed.add(name)
        return frozenset(changed)

    def _way_in_use(self, name: str) -> tuple[object, ...]:
        try:
            runner = self._keeper.runner(name)
        except NoSuchTunnelError:
            return ()
        return runner.way if session_count(runner.state) else ()

    async def _way_of(self, finder: HostResolver, tunnel: Tunnel) -> tuple[object, ...] | None:
        try:
            return await finder.chain(tunnel)
        except SshConfigError as error:
            # The connection that is up stays; the next one will say what is wrong.
            self._journal.write("warning", tunnel.name, f"ssh_config: {printable(error.message)}")
            return None

    def _why(self, name: str) -> str:
        failure = self._keeper.runner(name).last_failure
        return f" ({failure.failure})" if failure is not None else ""

    def _tunnel_changed(self, name: str) -> None:
        if self._listeners and name in self._keeper:
            self._tell(TunnelEvent(tunnel_snapshot(self._keeper.runner(name), self._clock)))

    def _tunnel_up(self, name: str) -> None:
        if name in self._keeper:  # else a reload is just taking it away
            self._keeper.server_is_back(name)

    def _tunnel_removed(self, name: str) -> None:
        self._journal.forget(name)
        self._tell(RemovedEvent(name))

    def _tell(self, event: Event) -> None:
        for listener in list(self._listeners):
            listener(event)
