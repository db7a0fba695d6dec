"""`tunnelkeeper forward` without a supervisor: one tunnel in this process, until a signal."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from secrets import token_hex
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.clock import SystemClock
from tunnelkeeper.config.ad_hoc import check_name, resolve_tunnel
from tunnelkeeper.core.ad_hoc import AdHoc, name_for_host
from tunnelkeeper.core.first_connection import Reason, cannot_come_up, has_come_up
from tunnelkeeper.core.lifecycle import NetworkChanged, RetryNow, Start
from tunnelkeeper.net.core_dumps import disable_core_dumps
from tunnelkeeper.net.fd_limits import raise_limit
from tunnelkeeper.net.process_group import run_with_children
from tunnelkeeper.net.thread_executor import use_daemon_threads
from tunnelkeeper.oneshot.connect import load_configuration
from tunnelkeeper.oneshot.person import answering
from tunnelkeeper.ssh.asyncssh_logging import silence_asyncssh
from tunnelkeeper.ssh.connection_pool import ConnectionPool
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.sshconfig import gather_facts
from tunnelkeeper.tunnel.context import TunnelContext, lookup_for
from tunnelkeeper.tunnel.dependency_watcher import SharedSignatures
from tunnelkeeper.tunnel.end_timer import EndTimer
from tunnelkeeper.tunnel.event_log import EventLog, redirected_loggers
from tunnelkeeper.tunnel.host_monitor import HostMonitor, monitoring
from tunnelkeeper.tunnel.runner import Runner
from tunnelkeeper.tunnel.snapshots import tunnel_snapshot
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup, unwrap_exception_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tunnelkeeper.clock import Clock, Timer
    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.snapshot import LogRecord, TunnelSnapshot
    from tunnelkeeper.oneshot.person import Answerer, Ask
    from tunnelkeeper.sshconfig import HostLookup
    from tunnelkeeper.tunnel.context import HostResolver

SHUTDOWN_TIMEOUT = 3.0
"""Seconds for the connection to close before it is aborted."""


@dataclass(frozen=True, slots=True)
class ForwardRequest:
    """The tunnel to open: its table, and the times in seconds; None for no limit.

    for_seconds: how long it lives. timeout: in which it has to come up.
    """

    table: dict[str, object]
    name: str | None = None
    for_seconds: float | None = None
    timeout: float | None = None


class View(Protocol):
    """What shows the tunnel. It does not block."""

    refresh_interval: float | None

    def on_tunnel(self, tunnel: TunnelSnapshot) -> None:
        """Show a snapshot, every refresh_interval seconds and when the tunnel has changed."""

    def on_record(self, record: LogRecord) -> None:
        """Show a record of the log."""


def forward(
    config_path: str, request: ForwardRequest, view: View, ask: Ask | None
) -> tuple[Reason, TunnelSnapshot]:
    """Hold a tunnel open. Return why it has ended, and what it was then.

    ask: asks the person at the terminal, if there is one. Raises ConfigError, InvalidTunnelError.
    """
    disable_core_dumps()
    silence_asyncssh()
    raise_limit()
    configuration = load_configuration(config_path)
    name = request.name
    if name is None:
        name = name_for_host(str(request.table.get("host", "")), configuration.tunnels)
    else:
        check_name(name)
    # Without the listeners of the file's tunnels: no supervisor listens for them now.
    tunnel, warnings = resolve_tunnel(name, request.table, configuration)
    clock = SystemClock()
    event_log = EventLog(clock)
    event_log.on_record = view.on_record
    for warning in warnings:
        event_log.write("warning", name, warning)
    program = ForwardProgram(request, tunnel, view, ask, event_log, clock)
    with redirected_loggers(event_log), unwrap_exception_groups():
        return run_with_children(_run(program, lookup_for(configuration)))


async def _run(program: ForwardProgram, lookup: HostLookup) -> tuple[Reason, TunnelSnapshot]:
    use_daemon_threads(asyncio.get_running_loop())
    async with ConnectionPool(program.ssh_context) as pool:
        return await program.run(lookup, pool)


class ForwardProgram:
    """The tunnel and its end."""

    def __init__(
        self,
        request: ForwardRequest,
        tunnel: Tunnel,
        view: View,
        ask: Ask | None,
        event_log: EventLog,
        clock: Clock,
    ) -> None:
        self._request = request
        self._tunnel = tunnel
        self._view = view
        self._ask = ask
        self._event_log = event_log
        self._clock = clock
        self.ssh_context = SshContext(wall_time=lambda: clock.wall().timestamp())
        self._ended: asyncio.Future[Reason]
        self._runner: Runner
        self._end_timer: EndTimer
        self._person: Answerer | None = None
        self._has_been_up = False

    async def run(
        self, host_resolver: HostResolver, pool: ConnectionPool
    ) -> tuple[Reason, TunnelSnapshot]:
        """Run the tunnel until it has to end."""
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        async with IsolatedTaskGroup() as tasks:
            self._runner = self._make_runner(host_resolver, pool)
            runner_task = tasks.create_task(self._runner.run())
            refresh_task = tasks.create_task(self._refresh())
            questions = self.ssh_context.questions
            questions.retry = lambda _: self._runner.send(RetryNow())
            monitor = HostMonitor(
                self._clock, self._event_log, self._on_network_changed, self._on_network_lost
            )
            self._end_timer = EndTimer(self._runner, self._clock, lambda: self._end("time_passed"))
            limit = self._start_time_limit()
            try:
                with _signals_handled(loop, self._end):
                    async with (
                        monitoring(monitor, tasks),
                        answering(
                            questions, self._ask, tasks, lambda _: self._judge(), self._warn
                        ) as self._person,
                    ):
                        self._runner.send(Start())
                        reason = await self._ended
                        last = self._snapshot()
            finally:
                for timer in filter(None, (self._end_timer, limit)):
                    timer.cancel()
                refresh_task.cancel()
                await self._stop(runner_task)
        return reason, last

    def _make_runner(self, host_resolver: HostResolver, pool: ConnectionPool) -> Runner:
        context = TunnelContext(
            host_resolver,
            self.ssh_context,
            pool,
            self._event_log,
            self._clock,
            lambda _: self._judge(),
            lambda _: None,
            SharedSignatures(self._clock).read,
            facts=gather_facts(),
        )
        seconds = self._request.for_seconds
        ends_at = inf if seconds is None else self._clock.monotonic() + seconds
        return Runner(
            self._tunnel, context, token_hex(8), ad_hoc=AdHoc(self._request.table, ends_at)
        )

    # -- events ------------------------------------------------------------------------------

    def _judge(self) -> None:
        """Show the tunnel after a change, and end if it cannot come up."""
        if self._ended.done():
            return
        tunnel = self._snapshot()
        self._view.on_tunnel(tunnel)
        self._has_been_up = self._has_been_up or has_come_up(tunnel)
        if not self._has_been_up and cannot_come_up(tunnel) and not self._is_asking(tunnel):
            self._end("failed")

    def _is_asking(self, tunnel: TunnelSnapshot) -> bool:
        """Return whether a tunnel waits for an answer that the person may give."""
        question = tunnel.failure.question if tunnel.failure is not None else ""
        return bool(question) and self._person is not None and self._person.will_answer(question)

    async def _refresh(self) -> None:
        interval = self._view.refresh_interval
        while interval is not None:
            await self._clock.sleep(interval)
            self._judge()

    def _start_time_limit(self) -> Timer | None:
        timeout = self._request.timeout
        if timeout is None:
            return None

        def end_unless_up() -> None:
            if not self._has_been_up:
                self._end("timed_out")

        return self._clock.call_at(self._clock.monotonic() + timeout, end_unless_up)

    def _on_network_changed(self, present: frozenset[str] | None) -> None:
        """Handle a resume or a network change, as daemon.tunnel_registry does."""
        self._end_timer.on_resume()
        self.ssh_context.connection_tracker.network_changed(present)
        self._on_network_lost()

    def _on_network_lost(self) -> None:
        self._runner.send(NetworkChanged())

    def _warn(self, text: str) -> None:
        self._event_log.write("warning", self._tunnel.name, text)

    # -- the end -----------------------------------------------------------------------------

    def _snapshot(self) -> TunnelSnapshot:
        return tunnel_snapshot(self._runner, self._clock)

    def _end(self, reason: Reason) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    async def _stop(self, runner_task: asyncio.Task[None]) -> None:
        """Close the connection. Abort it if it does not close in time."""
        self._runner.shutdown()
        await asyncio.wait({runner_task}, timeout=SHUTDOWN_TIMEOUT)
        runner_task.cancel()


@contextmanager
def _signals_handled(
    loop: asyncio.AbstractEventLoop, end: Callable[[Reason], None]
) -> Iterator[None]:
    """End the program in order after SIGINT and SIGTERM while the body runs."""
    loop.add_signal_handler(signal.SIGINT, end, "interrupted")
    loop.add_signal_handler(signal.SIGTERM, end, "terminated")
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGTERM)
