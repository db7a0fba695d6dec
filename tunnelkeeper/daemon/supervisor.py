"""The supervisor: the control API, implemented with registry, event log and config file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper import __version__
from tunnelkeeper.clock import iso
from tunnelkeeper.config import ConfigError, load_with_warnings
from tunnelkeeper.control.api import (
    ConfigRejectedError,
    Listener,
    RequestError,
    RequestFailedError,
)
from tunnelkeeper.control.payloads import (
    Event,
    LogEvent,
    RemovedEvent,
    TunnelEvent,
)
from tunnelkeeper.core.config_diff import (
    SettingsChanged,
    TakenOver,
    describe,
    diff,
    name_of,
)
from tunnelkeeper.core.connect_error import ConnectError
from tunnelkeeper.core.forward_spec import SpecError, parse_target
from tunnelkeeper.core.lifecycle import RetryNow
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot, SupervisorSnapshot
from tunnelkeeper.daemon.ad_hoc_tunnels import AdHocTunnels
from tunnelkeeper.daemon.config_monitor import ConfigMonitor
from tunnelkeeper.daemon.counter_publisher import CounterPublisher, ProcessStatsReader
from tunnelkeeper.daemon.key_locks import KeyLocks
from tunnelkeeper.daemon.moved_hosts import reconnect_moved
from tunnelkeeper.daemon.tunnel_registry import TunnelRegistry
from tunnelkeeper.net.thread_executor import SerialExecutor
from tunnelkeeper.sshconfig import gather_facts
from tunnelkeeper.tunnel.context import HostResolver, TunnelContext
from tunnelkeeper.tunnel.dependency_watcher import SharedSignatures, read_signatures
from tunnelkeeper.tunnel.snapshots import question_event, question_snapshot, tunnel_snapshot
from tunnelkeeper.tunnel.stdio_stream import relay_stream

if TYPE_CHECKING:
    import socket

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.control.payloads import Locked, Opened, OpenParams, Unlocking
    from tunnelkeeper.core.configuration import Configuration
    from tunnelkeeper.core.questions import Change, Question
    from tunnelkeeper.core.snapshot import QuestionSnapshot
    from tunnelkeeper.questions.board import QuestionBoard
    from tunnelkeeper.ssh.connection_pool import ConnectionPool
    from tunnelkeeper.ssh.context import SshContext
    from tunnelkeeper.tunnel.dependency_watcher import Signatures
    from tunnelkeeper.tunnel.event_log import EventLog

ResolverFactory = Callable[["Configuration"], "HostResolver"]


UNUSED_TIMEOUT = 2.0
"""Seconds until an unused supervisor ends, in which the request that ended the last tunnel is
answered."""

OPEN_TIMEOUT = 600.0
"""Seconds in which someone has to open a tunnel in a supervisor that starts none. The command that
started it may have been killed."""


class Supervisor:
    """Runs the tunnels of one configuration; a control.api.SupervisorApi.

    Args:
        tasks: Owns everything that runs.
        start_added: Whether a reload starts new tunnels with autostart. False if only some
            tunnels were requested at start.
        claim: Called with the names of tunnels before they are started; raises RequestError if
            another supervisor holds one of them.
        config_read: The signature of the config file from before it was read. None: as it is now.

    stopping is set when a shutdown is requested. reload_context is entered around every reload.
    """

    def __init__(
        self,
        configuration: Configuration,
        event_log: EventLog,
        clock: Clock,
        ssh_context: SshContext,
        connection_pool: ConnectionPool,
        tasks: asyncio.TaskGroup,
        create_resolver: ResolverFactory,
        *,
        start_added: bool = True,
        claim: Callable[[list[str]], None] = lambda _: None,
        config_read: Signatures | None = None,
    ) -> None:
        self.stopping = asyncio.Event()
        self.reload_context: Callable[[], AbstractContextManager[None]] = nullcontext
        self._ends_when_unused = False
        self._configuration = configuration
        self._event_log = event_log
        self._clock = clock
        self._started_at = iso(clock.wall())
        self._create_resolver = create_resolver
        self._start_added = start_added
        self._listeners: set[Listener] = set()
        self._stats_reader = ProcessStatsReader()
        self._config_monitor = ConfigMonitor(config_read or read_signatures([configuration.path]))
        self._reloading = asyncio.Lock()
        self._files = SerialExecutor()
        host_resolver = create_resolver(configuration)
        self._context = TunnelContext(
            host_resolver,
            ssh_context,
            connection_pool,
            event_log,
            clock,
            self._on_tunnel_changed,
            self._on_tunnel_up,
            SharedSignatures(clock).read,
            facts=gather_facts(),
        )
        self._registry = TunnelRegistry(self._context, tasks, self._on_tunnel_removed, claim)
        self._ad_hoc_tunnels = AdHocTunnels(
            self._registry, event_log, clock, tasks, self._on_ad_hoc_tunnel_ended
        )
        self._key_locks = KeyLocks(ssh_context, event_log)
        ssh_context.unlocker.command = "tunnelkeeper unlock"
        ssh_context.questions.retry = self._retry
        ssh_context.questions.subscribe(self._on_question)
        event_log.on_record = lambda record: self._publish(LogEvent(record))
        for tunnel in configuration.tunnels.values():
            self._registry.add(tunnel)

    # -- control.api.SupervisorApi -----------------------------------------------------------

    async def status(self, names: list[str] | None) -> StatusSnapshot:
        """Return the supervisor and the named tunnels, or all of them."""
        await self._config_monitor.look()
        return self.snapshot(names)

    async def start(self, names: list[str], group: str | None) -> list[str]:
        """Start tunnels. Return their names."""
        return self._registry.start(names, group)

    async def stop(self, names: list[str], group: str | None) -> list[str]:
        """Stop tunnels and wait until they are stopped. Return their names."""
        stopped = await self._registry.stop(names, group)
        await self._ad_hoc_tunnels.end(stopped)
        return stopped

    async def open(self, params: OpenParams) -> tuple[Opened, Callable[[], None]]:
        """Open a tunnel that is in no config file. The second result ends it."""
        async with self._reloading:  # a reload may be about to add a tunnel of this name
            return await self._ad_hoc_tunnels.open(params, self._configuration)

    def table(self, name: str) -> dict[str, object]:
        """Return the table of an ad-hoc tunnel."""
        return self._ad_hoc_tunnels.table(name)

    async def restart(
        self, names: list[str], group: str | None, *, graceful: bool = False
    ) -> list[str]:
        """Reconnect tunnels. Return their names."""
        return self._registry.restart(names, group, graceful=graceful)

    async def reload(self) -> list[str]:
        """Read the config file again and apply it. Return a description of each change."""
        async with self._reloading:
            with self.reload_context():
                return await self._reload()

    def logs(self, name: str | None, lines: int) -> list[LogRecord]:
        """Return the newest log records of a tunnel, or of everything."""
        if name is not None:
            self._registry.runner(name)
        return self._event_log.tail(name, lines)

    @property
    def questions(self) -> QuestionBoard:
        """The questions that the tunnels ask."""
        return self._context.ssh_context.questions

    def question_snapshots(self) -> list[QuestionSnapshot]:
        """Return the open questions, oldest first."""
        return [self.question_snapshot(question) for question in self.questions.questions]

    def question_snapshot(self, question: Question) -> QuestionSnapshot:
        """Return a question as clients see it."""
        return question_snapshot(question, self.questions.now())

    async def unlock(self, key: str | None, names: list[str], seconds: float | None) -> Unlocking:
        """Ask for the passphrase of a key file, or for those of the keys of tunnels."""
        limit = inf if seconds is None else seconds
        if key is not None:
            return await self._key_locks.unlock_file(key, limit)
        runners = [self._registry.runner(name) for name in names] or self._registry.runners()
        tunnels = [runner.tunnel for runner in runners]
        return await self._key_locks.unlock_tunnels(tunnels, self._context.host_resolver, limit)

    def lock(self) -> Locked:
        """Forget all decrypted keys and all passwords. Live connections stay."""
        forgotten = self._key_locks.lock()
        self._event_log.write(
            "info", "", f"locked: {forgotten.keys} keys, {forgotten.passwords} passwords forgotten"
        )
        return forgotten

    def shutdown(self) -> None:
        """Request the shutdown. main performs it."""
        self.stopping.set()

    def subscribe(
        self, listener: Listener, counters_every: float | None = None
    ) -> Callable[[], None]:
        """Send events to the listener, with counters if an interval is given.

        Return a function that unsubscribes it.
        """
        self._listeners.add(listener)
        publisher = None
        if counters_every is not None:
            runners = self._registry.runners
            publisher = CounterPublisher(
                counters_every, self._clock, runners, self._periodic_snapshot, listener
            )

        def unsubscribe() -> None:
            self._listeners.discard(listener)
            if publisher is not None:
                publisher.stop()

        return unsubscribe

    async def connect(
        self, name: str, target: str, sock: socket.socket, early: bytes, confirm: Callable[[], None]
    ) -> None:
        """Relay a client's socket to a target through a tunnel's connection."""
        runner = self._registry.runner(name)
        try:
            address = parse_target(target)
        except SpecError as error:
            raise RequestFailedError(str(error)) from error
        try:
            await relay_stream(
                sock, early, confirm, runner.gate, address, timeout=runner.tunnel.hold_timeout
            )
        except ConnectError as refusal:
            raise RequestFailedError(
                f"{name}: {target}: {refusal}{self._failure_suffix(name)}"
            ) from refusal

    # -- for main ----------------------------------------------------------------------------

    def end_when_unused(self) -> None:
        """Shut down when an ad-hoc tunnel has ended, or none was opened, and none is wanted."""
        self._ends_when_unused = True
        self._end_if_unused_after(OPEN_TIMEOUT)

    def snapshot(self, names: list[str] | None) -> StatusSnapshot:
        """Return the status without a new look at the config file."""
        tunnels = self._registry.snapshots(names)
        return StatusSnapshot(self._snapshot(), tunnels, self.question_snapshots())

    async def reload_and_log_errors(self) -> None:
        """Reload on SIGHUP. Log the problems, because no client waits for the result."""
        try:
            await self.reload()
        except RequestError as error:
            for problem in error.problems:
                self._event_log.write("error", "", problem.text, problem.hint)
            self._event_log.write("error", "", str(error), error.hint)

    def network_changed(self, present: frozenset[str] | None) -> None:
        """Let all tunnels react to a resume or a network change."""
        self._ad_hoc_tunnels.on_resume()
        self._registry.network_changed(present)

    def network_lost(self) -> None:
        """Let all waiting tunnels react to a network that lost its routes or addresses."""
        self._registry.end_waits()

    async def close(self) -> None:
        """Stop all tunnels."""
        self._ad_hoc_tunnels.close()
        await self._registry.close()

    def abort_connections(self) -> None:
        """Abort the tunnels that `close` is still waiting for."""
        self._registry.abort_connections()

    # -- private -----------------------------------------------------------------------------

    def _snapshot(self) -> SupervisorSnapshot:
        stats = self._stats_reader.read()
        return SupervisorSnapshot(
            version=__version__,
            pid=os.getpid(),
            config=self._configuration.path,
            started_at=self._started_at,
            memory_bytes=stats.memory_bytes,
            cpu_seconds=stats.cpu_seconds,
            open_files=stats.open_files,
            config_changed=self._config_monitor.has_changed,
        )

    def _periodic_snapshot(self) -> SupervisorSnapshot:
        self._config_monitor.look_soon()
        return self._snapshot()

    async def _reload(self) -> list[str]:
        path = self._configuration.path
        try:
            config_read, (new, warnings) = await self._files.read(
                path, lambda: (read_signatures([path]), load_with_warnings(path))
            )
        except ConfigError as error:
            raise ConfigRejectedError(error.messages, "tunnelkeeper edit") from error
        except OSError as error:
            raise ConfigRejectedError([Message(f"{path}: {error.strerror}")]) from error
        taken_over = await self._ad_hoc_tunnels.release_taken_over(new)
        host_resolver = self._create_resolver(new)
        found_changes = diff(self._registry.tunnels, new.tunnels, taken_over)
        changes = {name_of(change): change for change in found_changes}
        for warning in warnings:
            self._event_log.write("warning", "", str(warning), warning.hint)
        self._configuration = new
        self._config_monitor.set_read(config_read)
        self._context.host_resolver = host_resolver
        self._event_log.level = new.supervisor.log_level
        self._event_log.format = new.supervisor.log_format
        await self._registry.apply(changes.values(), new.tunnels, start_added=self._start_added)
        unchanged = [tunnel for name, tunnel in new.tunnels.items() if name not in changes]
        kept = SettingsChanged | TakenOver
        connected = [c.tunnel for c in changes.values() if isinstance(c, kept)]
        # Applied first, as one slow lookup must not delay the changes of other tunnels.
        moved = await reconnect_moved(unchanged + connected, self._registry, self._context)
        changes |= {change.tunnel.name: change for change in moved}
        order = [*(name for name in changes if name not in new.tunnels), *new.tunnels]
        sentences = [describe(changes[name]) for name in order if name in changes]
        self._event_log.write("info", "", f"reloaded: {'; '.join(sentences) or 'nothing changed'}")
        return sentences

    def _failure_suffix(self, name: str) -> str:
        failure = self._registry.runner(name).last_failure
        return f" ({failure.failure})" if failure is not None else ""

    def _on_tunnel_changed(self, name: str) -> None:
        if self._listeners and name in self._registry:
            self._publish(TunnelEvent(tunnel_snapshot(self._registry.runner(name), self._clock)))

    def _on_tunnel_up(self, name: str) -> None:
        if name in self._registry:  # otherwise a reload is removing it
            self._registry.retry_same_server(name)

    def _on_tunnel_removed(self, name: str) -> None:
        self._event_log.forget(name)
        self._publish(RemovedEvent(name))

    def _on_ad_hoc_tunnel_ended(self) -> None:
        if self._ends_when_unused:
            self._end_if_unused_after(UNUSED_TIMEOUT)

    def _end_if_unused_after(self, seconds: float) -> None:
        self._clock.call_at(self._clock.monotonic() + seconds, self._end_if_unused)

    def _end_if_unused(self) -> None:
        if not self._registry.has_wanted_tunnel:
            self.shutdown()

    def _on_question(self, change: Change) -> None:
        self._publish(question_event(change, self.questions.now()))

    def _retry(self, name: str) -> None:
        """Let a tunnel try again: a person has answered, or is there to answer."""
        if name in self._registry:
            self._registry.runner(name).send(RetryNow())

    def _publish(self, event: Event) -> None:
        for listener in list(self._listeners):
            listener(event)
