"""Keeps one line's tunnel by autossh's rules: counts its runs, runs what it runs, ends as autossh.

States, attempts and the wait after the network's trouble are the runner's, as for any tunnel. With
--strict the runner waits after each failure until autossh.restart_rules allows the next start.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import TYPE_CHECKING

from tunnelkeeper.autossh.restart_rules import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_STATUS_LOST,
    NextRun,
    ProgramExit,
    Rules,
    RunHistory,
)
from tunnelkeeper.core.lifecycle import NetworkChanged, Restart, Start, Stop
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
from tunnelkeeper.oneshot.autossh.monitor_loop import MonitorLoop
from tunnelkeeper.oneshot.autossh.remote_session import (
    ConnectionLost,
    Exited,
    Outcome,
    RequestRefused,
    StdoutClosed,
)
from tunnelkeeper.ssh.connection_pool import ConnectionPool
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.tunnel.context import TunnelContext
from tunnelkeeper.tunnel.host_monitor import HostMonitor, monitoring
from tunnelkeeper.tunnel.runner import Runner
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tunnelkeeper.autossh.command_line import Monitor
    from tunnelkeeper.autossh.monitor_protocol import Timing
    from tunnelkeeper.clock import Clock, Timer
    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.oneshot.autossh.log import Log
    from tunnelkeeper.oneshot.autossh.remote_session import RemoteTask
    from tunnelkeeper.oneshot.autossh.resolve import ResolvedCommand
    from tunnelkeeper.tunnel.event_log import EventLog

SHUTDOWN_TIMEOUT = 3.0
"""Seconds that the connection may take to close before it is cut off."""


@dataclass(frozen=True, slots=True)
class SupervisedCommand:
    """What to keep and how. max_lifetime: seconds, 0: no limit. text: AUTOSSH_MESSAGE."""

    command: ResolvedCommand
    remote_task: RemoteTask | None
    rules: Rules
    monitor: Monitor | None
    timing: Timing
    max_lifetime: float
    message: str


class AutosshSupervisor:
    """The tunnel of one line, until it ends."""

    def __init__(self, job: SupervisedCommand, log: Log, journal: EventLog, clock: Clock) -> None:
        self._job = job
        self._log = log
        self._journal = journal
        self._clock = clock
        self._course = RunHistory(job.rules)
        self._seen: State = Stopped()
        self._exit: asyncio.Future[ProgramExit]
        self._runner: Runner
        self._tasks: IsolatedTaskGroup
        self._ssh_context = SshContext()
        self._watching: asyncio.Task[None] | None = None
        self._errand: asyncio.Task[None] | None = None
        self._start_timer: Timer | None = None

    async def run(self) -> int:
        """Keep it up; returns the exit code."""
        self._exit = asyncio.get_running_loop().create_future()
        async with (
            IsolatedTaskGroup() as self._tasks,
            ConnectionPool(self._ssh_context) as connection_pool,
        ):
            services = TunnelContext(
                self._job.command.resolver,
                self._ssh_context,
                connection_pool,
                self._journal,
                self._clock,
                lambda _: self._changed(),
                lambda _: self._connected(),
            )
            self._runner = Runner(self._job.command.tunnel, services, token_hex(8), self._policy)
            running = self._tasks.create_task(self._runner.run())
            vigil = HostMonitor(self._clock, self._journal, self._moved)
            self._obey_signals()
            lifetime = self._limit_lifetime()
            try:
                async with monitoring(vigil, self._tasks):
                    self._begin()
                    ending = await self._exit
            finally:
                if lifetime is not None:
                    lifetime.cancel()
                self._let_go()
                await self._stop(running)
        self._log.write(Level.INFO if ending.code == EXIT_OK else Level.ERROR, ending.message)
        return ending.code

    # -- what happens ------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._course.may_start:
            self._runner.send(Start())
        else:
            self._finish(ProgramExit(EXIT_OK, "max start count reached; exiting"))

    def _changed(self) -> None:
        """The tunnel's state is another one, perhaps."""
        old, self._seen = self._seen, self._runner.state
        match old, self._seen:
            case Connecting(), Connecting():
                return
            case _, Connecting():
                self._course = self._course.with_start(self._clock.monotonic())
                self._log.write(Level.INFO, f"starting ssh (count {self._course.starts})")
            case ((Connecting() | Up() | Degraded()), (BackingOff() | Blocked())):
                self._run_ended()
        if not isinstance(self._seen, Up | Degraded) and self._watching is not None:
            self._watching.cancel()

    def _connected(self) -> None:
        """A connection is there, the first or another one."""
        self._run_errand()
        if self._watching is not None:
            self._watching.cancel()
        if self._job.monitor is not None:
            self._watching = self._tasks.create_task(self._watch_loop(self._job.monitor))

    def _run_ended(self) -> None:
        """The connection is lost, or was never made."""
        failure = failure_of(self._seen)
        needs_a_person = failure is not None and failure.needs_user
        now = self._clock.monotonic()
        match self._course.on_exit(EXIT_STATUS_LOST, now, needs_user=needs_a_person):
            case ProgramExit() as ending:
                self._finish(ending)
            case NextRun(wait=wait, message=words):
                self._log.write(Level.INFO, words)
                if self._job.rules.strict:
                    self._start_after(wait)

    def _run_errand(self) -> None:
        """Run what is to be run, unless it runs already or there is nothing to run it on.

        It stays on its connection when another one takes over, as long as that lives.
        """
        session = self._runner.session
        chain = session.hop_connections if session else None
        errand = self._job.remote_task
        if errand is None or self._errand is not None:
            return
        if chain is not None and not chain.connection.is_closed:
            running = errand.run(chain.connection, self._runner.gate)
            self._errand = self._tasks.create_task(self._until_ended(running))

    async def _until_ended(self, running: Coroutine[None, None, Outcome]) -> None:
        outcome = await running
        self._errand = None
        self._errand_ended(outcome)

    def _errand_ended(self, outcome: Outcome) -> None:
        match outcome:
            case ConnectionLost(resumable=resumable):
                if not (resumable or self._job.rules.strict):
                    words = "the connection is lost, and what went through it cannot be resumed"
                    self._finish(ProgramExit(EXIT_FAILED, words))
                else:
                    self._run_errand()  # where another connection is there already
                return
            case StdoutClosed():
                self._finish(ProgramExit(EXIT_FAILED, "nobody reads the output any more; exiting"))
                return
            case Exited(status=status):
                verdict = self._course.on_exit(status, self._clock.monotonic())
            case RequestRefused(message=words):
                self._journal.write("error", self._job.command.tunnel.name, words)
                verdict = self._course.on_exit(
                    EXIT_STATUS_LOST, self._clock.monotonic(), needs_user=True
                )
        match verdict:
            case ProgramExit() as ending:
                self._finish(ending)
            case NextRun(wait=wait, message=words):
                self._log.write(Level.INFO, words)
                self._runner.send(Restart() if not wait else Stop())
                if wait:
                    self._start_after(wait)

    async def _watch_loop(self, monitor: Monitor) -> None:
        job = self._job
        loop = MonitorLoop(monitor, job.timing, job.message, self._clock, self._debug)
        await loop.run_until_broken()
        self._log.write(Level.INFO, "port down, restarting ssh")
        self._runner.send(Restart())

    # -- signals and time --------------------------------------------------------------------

    def _obey_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for end in (signal.SIGTERM, signal.SIGINT):
            words = f"received signal to exit ({int(end)})"
            loop.add_signal_handler(end, self._finish, ProgramExit(EXIT_FAILED, words))
        for prod in (signal.SIGHUP, signal.SIGUSR2):
            loop.add_signal_handler(prod, self._prod)
        loop.add_signal_handler(signal.SIGUSR1, self._start_anew)

    def _prod(self) -> None:
        """End a wait; a connection that is up is left alone."""
        self._debug("signalled to check")
        self._start_after(0)

    def _start_anew(self) -> None:
        self._log.write(Level.INFO, "signalled to kill and restart ssh")
        self._forget_start()
        self._runner.send(Restart())

    def _moved(self, present: frozenset[str] | None) -> None:
        """This machine woke, or its network changed: see daemon.tunnel_registry."""
        self._ssh_context.connection_tracker.network_changed(present)
        self._runner.send(NetworkChanged())

    def _limit_lifetime(self) -> Timer | None:
        limit = self._job.max_lifetime
        if not limit:
            return None
        ending = ProgramExit(EXIT_OK, "exceeded maximum time to live, shutting down")
        return self._clock.call_at(self._clock.monotonic() + limit, lambda: self._finish(ending))

    def _start_after(self, wait: float) -> None:
        self._forget_start()
        if not wait:
            self._runner.send(Start())
            return
        self._debug(f"sleeping for grace time {wait:.0f} secs")
        when = self._clock.monotonic() + wait
        self._start_timer = self._clock.call_at(when, lambda: self._start_after(0))

    def _forget_start(self) -> None:
        if self._start_timer is not None:
            self._start_timer.cancel()
            self._start_timer = None

    # -- the end -----------------------------------------------------------------------------

    def _finish(self, ending: ProgramExit) -> None:
        if not self._exit.done():
            self._exit.set_result(ending)

    def _let_go(self) -> None:
        self._forget_start()
        for task in (self._watching, self._errand):
            if task is not None:
                task.cancel()

    async def _stop(self, running: asyncio.Task[None]) -> None:
        """Close the connection, and cut off what does not close in time."""
        self._runner.shutdown()
        await asyncio.wait({running}, timeout=SHUTDOWN_TIMEOUT)
        running.cancel()

    def _policy(self, tunnel: Tunnel, seed: str) -> RetryPolicy:
        return replace(RetryPolicy.from_tunnel(tunnel, seed), retries=not self._job.rules.strict)

    def _debug(self, text: str) -> None:
        self._log.write(Level.DEBUG, text)
