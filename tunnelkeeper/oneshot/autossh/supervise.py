"""Supervision of one tunnel by autossh's rules: it counts runs, starts remote sessions, and exits.

It does not handle states, attempts and retry delays; the runner does, as for any tunnel. With
--strict the runner waits after each failure until autossh.restart_rules allows the next start.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING

from msgspec import structs

from tunnelkeeper.autossh.environment import NO_LIMIT
from tunnelkeeper.autossh.monitor_protocol import loop_forwards
from tunnelkeeper.autossh.restart_rules import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_STATUS_LOST,
    NextRun,
    ProgramExit,
    Rules,
    RunHistory,
)
from tunnelkeeper.core.lifecycle import NetworkChanged, Restart, RetryNow, Start, Stop
from tunnelkeeper.core.retry_policy import RetryPolicy
from tunnelkeeper.core.states import (
    BackingOff,
    Blocked,
    Connecting,
    Degraded,
    State,
    Stopped,
    Up,
    failure_of,
)
from tunnelkeeper.oneshot.autossh.log import Level
from tunnelkeeper.oneshot.autossh.monitor_loop import Loop, MonitorLoop
from tunnelkeeper.oneshot.autossh.monitor_ports import ReturnPort, bind_error
from tunnelkeeper.oneshot.autossh.remote_session import (
    ConnectionLost,
    Exited,
    Outcome,
    RequestRefused,
    StdoutClosed,
)
from tunnelkeeper.oneshot.person import answering
from tunnelkeeper.ssh.connection_pool import ConnectionPool
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.tunnel.context import TunnelContext
from tunnelkeeper.tunnel.dependency_watcher import SharedSignatures
from tunnelkeeper.tunnel.host_monitor import HostMonitor, monitoring
from tunnelkeeper.tunnel.runner import Runner
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine

    from tunnelkeeper.autossh.command_line import Monitor
    from tunnelkeeper.autossh.monitor_protocol import Timing
    from tunnelkeeper.clock import Clock, Timer
    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.oneshot.autossh.log import Log
    from tunnelkeeper.oneshot.autossh.remote_session import RemoteTask
    from tunnelkeeper.oneshot.autossh.resolve import ResolvedCommand
    from tunnelkeeper.oneshot.person import Answerer, Ask
    from tunnelkeeper.tunnel.event_log import EventLog

SHUTDOWN_TIMEOUT = 3.0
"""Seconds for the connection to close before it is aborted."""


@dataclass(frozen=True, slots=True)
class SupervisedCommand:
    """The command line to run, and its rules.

    return_socket: that of the monitoring loop, listening. max_lifetime: seconds; 0 for no limit.
    message: AUTOSSH_MESSAGE. ask: asks the person at the terminal, if there is one.
    """

    command: ResolvedCommand
    remote_task: RemoteTask | None
    rules: Rules
    monitor: Monitor | None
    return_socket: socket.socket | None
    timing: Timing
    max_lifetime: float
    message: str
    ask: Ask | None = None


class AutosshSupervisor:
    """The supervisor of one tunnel, until the program exits."""

    def __init__(
        self, options: SupervisedCommand, log: Log, event_log: EventLog, clock: Clock
    ) -> None:
        self._options = options
        self._log = log
        self._event_log = event_log
        self._clock = clock
        self._history = RunHistory(options.rules)
        self._judged_at = 0.0
        self._state: State = Stopped()
        self._exit: asyncio.Future[ProgramExit]
        self._runner: Runner
        self._tasks: IsolatedTaskGroup
        self._ssh_context = SshContext(wall_time=lambda: clock.wall().timestamp())
        self._monitor_task: asyncio.Task[None] | None = None
        self._return_port: ReturnPort | None = None
        self._remote_task: asyncio.Task[None] | None = None
        self._start_timer: Timer | None = None
        self._person: Answerer | None = None

    async def run(self) -> int:
        """Run the tunnel. Return the exit code."""
        self._exit = asyncio.get_running_loop().create_future()
        async with (
            IsolatedTaskGroup() as self._tasks,
            ConnectionPool(self._ssh_context) as connection_pool,
        ):
            context = TunnelContext(
                self._options.command.resolver,
                self._ssh_context,
                connection_pool,
                self._event_log,
                self._clock,
                lambda _: self._on_state_changed(),
                lambda _: self._on_connected(),
                SharedSignatures(self._clock).read,
            )
            self._runner = Runner(self._options.command.tunnel, context, token_hex(8), self._policy)
            runner_task = self._tasks.create_task(self._runner.run())
            if self._options.return_socket is not None:
                self._return_port = ReturnPort(self._options.return_socket, self._debug)
            host_monitor = HostMonitor(
                self._clock, self._event_log, self._on_network_changed, self._on_network_lost
            )
            self._add_signal_handlers()
            questions = self._ssh_context.questions
            questions.retry = lambda _: self._runner.send(RetryNow())
            lifetime = self._start_lifetime_timer()
            try:
                async with (
                    monitoring(host_monitor, self._tasks),
                    answering(
                        questions, self._options.ask, self._tasks, self._on_left_alone, self._debug
                    ) as self._person,
                ):
                    self._start_first_run()
                    program_exit = await self._exit
            finally:
                if lifetime is not None:
                    lifetime.cancel()
                self._cancel_tasks()
                if self._return_port is not None:
                    self._return_port.close()
                await self._stop(runner_task)
        level = Level.ERROR if program_exit.is_error else Level.INFO
        self._log.write(level, program_exit.message, program_exit.hint)
        return program_exit.code

    # -- events ------------------------------------------------------------------------------

    def _start_first_run(self) -> None:
        if self._history.may_start:
            self._runner.send(Start())
        else:
            self._finish(ProgramExit(EXIT_OK, "max start count reached; exiting"))

    def _on_state_changed(self) -> None:
        """Handle a possible change of the tunnel's state."""
        old, self._state = self._state, self._runner.state
        match old, self._state:
            case Connecting(), Connecting():
                return
            case _, Connecting():
                self._history = self._history.with_start(self._clock.monotonic())
                limit = self._options.rules.max_starts
                count = f"{self._history.starts}" + ("" if limit == NO_LIMIT else f" of {limit}")
                self._log.write(Level.INFO, f"starting ssh (count {count})")
            case ((Connecting() | Up() | Degraded()), (BackingOff() | Blocked())):
                if not self._is_asking:
                    self._on_run_ended()
        if not isinstance(self._state, Up | Degraded) and self._monitor_task is not None:
            self._monitor_task.cancel()
        self._require_monitor_port()

    @property
    def _is_asking(self) -> bool:
        """Whether the tunnel waits for an answer that the person at the terminal may give."""
        failure = failure_of(self._state)
        asked = failure.question if failure is not None else ""
        return bool(asked) and self._person is not None and self._person.will_answer(asked)

    def _on_left_alone(self, question_id: str) -> None:
        """Handle a question that the person does not answer: the run has failed."""
        failure = failure_of(self._state)
        if failure is not None and failure.question == question_id:
            self._on_run_ended()

    def _require_monitor_port(self) -> None:
        """End the program if another one took the port of the loop before the first start."""
        monitor = self._options.monitor
        if monitor is None or self._history.starts != 1 or not isinstance(self._state, Connecting):
            return
        local, *_ = loop_forwards(monitor)
        failures = [f.last_failure for f in self._runner.forwards if f.forward == local]
        if any(failures):
            message = bind_error(monitor.port, "the port cannot be bound")
            self._finish(ProgramExit(EXIT_FAILED, message.text, is_error=True, hint=message.hint))

    def _loop_failure(self, monitor: Monitor) -> Failure | None:
        """Return why a forward of the monitoring loop does not listen, if so."""
        parts = loop_forwards(monitor)
        records = [f.last_failure for f in self._runner.forwards if f.forward in parts]
        return next((record.failure for record in records if record is not None), None)

    def _on_connected(self) -> None:
        """Handle a new connection: the first one or a replacement."""
        self._start_remote_task()
        if self._monitor_task is not None:
            self._monitor_task.cancel()
        if self._options.monitor is not None:
            self._monitor_task = self._tasks.create_task(
                self._run_monitor_loop(self._options.monitor)
            )

    def _on_run_ended(self) -> None:
        """Handle a lost connection or a failed attempt."""
        failure = failure_of(self._state)
        needs_user = failure is not None and failure.needs_user
        match self._history.on_exit(EXIT_STATUS_LOST, self._judged_at, needs_user=needs_user):
            case ProgramExit() as program_exit:
                self._finish(program_exit)
            case NextRun(wait=wait, message=message):
                self._log.write(Level.INFO, message)
                if self._options.rules.strict:
                    self._start_after(wait)

    def _start_remote_task(self) -> None:
        """Start the remote session, unless it is running or there is no connection.

        It stays on its connection after a replacement, as long as that connection is alive.
        """
        session = self._runner.session
        chain = session.hop_connections if session else None
        remote_task = self._options.remote_task
        if remote_task is None or self._remote_task is not None:
            return
        if chain is not None and not chain.connection.is_closed:
            running = remote_task.run(chain.connection, self._runner.gate)
            self._remote_task = self._tasks.create_task(self._run_remote_task(running))

    async def _run_remote_task(self, running: Coroutine[None, None, Outcome]) -> None:
        outcome = await running
        self._remote_task = None
        self._on_remote_task_ended(outcome)

    def _on_remote_task_ended(self, outcome: Outcome) -> None:
        match outcome:
            case ConnectionLost(resumable=resumable):
                if not (resumable or self._options.rules.strict):
                    message = "the connection was lost, and its session cannot be resumed"
                    self._finish(ProgramExit(EXIT_FAILED, message, is_error=True))
                else:
                    self._start_remote_task()  # a replacement may already be connected
                return
            case StdoutClosed():
                message = "standard output was closed; exiting"
                self._finish(ProgramExit(EXIT_FAILED, message, is_error=True))
                return
            case Exited(status=status):
                verdict = self._history.on_exit(status, self._clock.monotonic())
            case RequestRefused(message=message):
                self._event_log.write("error", self._options.command.tunnel.name, message)
                verdict = self._history.on_exit(
                    EXIT_STATUS_LOST, self._clock.monotonic(), needs_user=True
                )
        match verdict:
            case ProgramExit() as program_exit:
                self._finish(program_exit)
            case NextRun(wait=wait, message=message):
                self._log.write(Level.INFO, message)
                self._runner.send(Restart() if not wait else Stop())
                if wait:
                    self._start_after(wait)

    async def _run_monitor_loop(self, monitor: Monitor) -> None:
        options = self._options
        parts = Loop(monitor, self._return_port, lambda: self._loop_failure(monitor))
        loop = MonitorLoop(parts, options.timing, options.message, self._clock, self._log.write)
        await loop.run_until_broken()
        self._log.write(Level.INFO, "port down, restarting ssh")
        self._runner.send(Restart())

    # -- signals and timers ------------------------------------------------------------------

    def _add_signal_handlers(self) -> None:
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, self._on_exit_signal, signal_number)
        for signal_number in (signal.SIGHUP, signal.SIGUSR2):
            loop.add_signal_handler(signal_number, self._retry_now)
        loop.add_signal_handler(signal.SIGUSR1, self._restart)

    def _on_exit_signal(self, signal_number: signal.Signals) -> None:
        """End the program. autossh logs an error if the signal ends a delay."""
        if self._start_timer is not None:
            self._finish(ProgramExit(EXIT_FAILED, "signalled to exit", is_error=True))
            return
        message = f"received signal to exit ({int(signal_number)})"
        self._finish(ProgramExit(EXIT_FAILED, message))

    def _retry_now(self) -> None:
        """End a wait. A live connection is not affected."""
        self._debug("signalled to check")
        self._start_after(0)

    def _restart(self) -> None:
        self._log.write(Level.INFO, "signalled to kill and restart ssh")
        self._cancel_start_timer()
        self._runner.send(Restart())

    def _on_network_changed(self, present: frozenset[str] | None) -> None:
        """Handle a resume or a network change, as daemon.tunnel_registry does."""
        self._ssh_context.connection_tracker.network_changed(present)
        self._on_network_lost()

    def _on_network_lost(self) -> None:
        self._runner.send(NetworkChanged())

    def _start_lifetime_timer(self) -> Timer | None:
        limit = self._options.max_lifetime
        if not limit:
            return None
        program_exit = ProgramExit(EXIT_OK, "exceeded maximum time to live, shutting down")
        return self._clock.call_at(
            self._clock.monotonic() + limit, lambda: self._finish(program_exit)
        )

    def _start_after(self, wait: float) -> None:
        self._cancel_start_timer()
        if not wait:
            self._runner.send(Start())
            return
        self._debug(f"sleeping for grace time {wait:.0f} secs")
        when = self._clock.monotonic() + wait
        self._start_timer = self._clock.call_at(when, lambda: self._start_after(0))

    def _cancel_start_timer(self) -> None:
        if self._start_timer is not None:
            self._start_timer.cancel()
            self._start_timer = None

    # -- shutdown ----------------------------------------------------------------------------

    def _finish(self, program_exit: ProgramExit) -> None:
        if not self._exit.done():
            self._exit.set_result(program_exit)

    def _cancel_tasks(self) -> None:
        self._cancel_start_timer()
        for task in (self._monitor_task, self._remote_task):
            if task is not None:
                task.cancel()

    async def _stop(self, runner_task: asyncio.Task[None]) -> None:
        """Close the connection. Abort it if it does not close in time."""
        self._runner.shutdown()
        await asyncio.wait({runner_task}, timeout=SHUTDOWN_TIMEOUT)
        runner_task.cancel()

    def _policy(self, tunnel: Tunnel, seed: str) -> RetryPolicy:
        """Return the policy for an event that happens now: no retry if the program will exit.

        _on_run_ended decides with the same time, so that the two agree.
        """
        self._judged_at = self._clock.monotonic()
        return structs.replace(
            RetryPolicy.from_tunnel(tunnel, seed),
            retries=self._history.may_start and not self._options.rules.strict,
            retries_blocked=not self._history.is_gated(self._judged_at),
        )

    def _debug(self, text: str) -> None:
        self._log.write(Level.DEBUG, text)
