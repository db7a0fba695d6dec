"""Runs one tunnel: feeds events to the lifecycle and carries out what it says.

It decides nothing about states; that is core.lifecycle. It owns the tunnel's session, its
forwards and its timer, and everybody else sees only its snapshots.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import ASKED_NOTHING_OF_THE_SERVER, Cause, Failure
from tunnelkeeper.core.lifecycle import (
    BackingOff,
    Blocked,
    Command,
    DeadlineReached,
    Degraded,
    Ended,
    Event,
    ForwardsChanged,
    Nudged,
    Opened,
    Policy,
    Restart,
    Start,
    State,
    Stop,
    Stopped,
    Stopping,
    Up,
    deadline,
    failure_of,
    is_wanted,
    step,
)
from tunnelkeeper.core.snapshot import ProgressSnapshot, TunnelSnapshot
from tunnelkeeper.daemon import narration, view
from tunnelkeeper.daemon.filewatch import wait_for_change
from tunnelkeeper.daemon.forwards import (
    Running,
    RunningLocal,
    RunningRemote,
    Surroundings,
    Trouble,
    running,
)
from tunnelkeeper.daemon.nursery import Nursery
from tunnelkeeper.daemon.session import Session
from tunnelkeeper.forwarding.gate import NOWHERE, Gate

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tunnelkeeper.core.forwards import Forward
    from tunnelkeeper.core.snapshot import Step
    from tunnelkeeper.core.tunnels import Host, Tunnel
    from tunnelkeeper.daemon.clock import Clock, Timer
    from tunnelkeeper.daemon.journal import Journal
    from tunnelkeeper.daemon.session import WayFinder
    from tunnelkeeper.ssh.chain import Jumps

log = logging.getLogger(__name__)

CLOSED_ON_REQUEST = Failure(Cause.LOST, "closed on request")


@dataclass(slots=True)
class Services:
    """What all runners of a supervisor share. A reload replaces the finder.

    on_change and on_up are told a tunnel's name.
    """

    finder: WayFinder
    jumps: Jumps
    journal: Journal
    clock: Clock
    on_change: Callable[[str], None]
    on_up: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Adjust:
    """Take over a new configuration: forwards and policies, without touching the connection."""

    tunnel: Tunnel


class Runner:
    """One tunnel, from its configuration to its end. `run` is its life; `post` its mailbox."""

    def __init__(self, tunnel: Tunnel, services: Services, seed: str) -> None:
        self.tunnel = tunnel
        self.state: State = Stopped()
        self.changed_at: datetime = services.clock.wall()
        self.restarts = 0
        self.progress: ProgressSnapshot | None = None
        self.trouble: Trouble | None = None
        self.forwards: list[Running] = []
        self.session: Session | None = None
        self._services = services
        self._policy = Policy.of(tunnel, seed)
        self._seed = seed
        self._gate = Gate()
        self._gate.open(NOWHERE)
        self._mail: asyncio.Queue[Event | Adjust | None] = asyncio.Queue()
        self._timer: Timer | None = None
        self._session_task: asyncio.Task[Failure] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._tasks: Nursery
        self._has_been_up = False
        self._settled = asyncio.Event()

    # -- what others ask ---------------------------------------------------------------------

    def post(self, event: Event | Adjust) -> None:
        """Let something happen to the tunnel."""
        self._settled.clear()
        self._mail.put_nowait(event)

    def reconnect(self) -> None:
        """Connect anew, if the tunnel is wanted at all: the way to its server changed."""
        if is_wanted(self.state):
            self.post(Restart())

    def retire(self) -> None:
        """Stop, and end `run` with it."""
        self.post(Stop())
        self._mail.put_nowait(None)

    async def until_stopped(self) -> None:
        """Wait until all that was posted is done and the tunnel is stopped, or is wanted again."""
        while not self._mail.empty() or self.state == Stopping():
            self._settled.clear()
            await self._settled.wait()

    def snapshot(self) -> TunnelSnapshot:
        """As front ends see it."""
        return view.of(self, self._services.clock)

    def is_waiting_for(self, first_hop: Host) -> bool:
        """Whether it is in backoff because nothing answered, there or behind that host."""
        match self.state:
            case BackingOff(failure=Failure(cause=cause)) if cause in ASKED_NOTHING_OF_THE_SERVER:
                return bool(self.way) and self.way[0] == first_hop
        return False

    @property
    def way(self) -> tuple[Host, ...]:
        """The hosts of the last session, first hop first; empty before they were looked up."""
        return self.session.way if self.session is not None else ()

    @property
    def gate(self) -> Gate:
        """The way in for connections that are not a forward's (ssh -W)."""
        return self._gate

    # -- its life ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Handle what is posted until retired."""
        async with Nursery() as self._tasks:
            self.forwards = [self._new(forward) for forward in self.tunnel.forwards]
            try:
                await self._handle_mail()
            finally:
                self._stop_timer()
                self._stop_watching()
                for forward in self._locals():
                    forward.close()

    async def _handle_mail(self) -> None:
        retiring = False
        while not (retiring and isinstance(self.state, Stopped) and self._mail.empty()):
            match await self._mail.get():
                case None:
                    retiring = True
                case Start() | Restart() if retiring:
                    pass
                case letter:
                    await self._handle_or_complain(letter)
            self._settled.set()

    async def _handle_or_complain(self, letter: Event | Adjust) -> None:
        try:
            match letter:
                case Adjust(tunnel=tunnel):
                    await self._adjust(tunnel)
                case event:
                    await self._handle(event)
        except Exception:  # a fault in one step must not leave the tunnel without a runner
            log.exception("tunnel %s: an internal fault; please report it", self.tunnel.name)

    async def _handle(self, event: Event) -> None:
        old = self.state
        self.state, command = step(old, event, self._services.clock.monotonic(), self._policy)
        if self.state == old and command is None:
            if isinstance(event, DeadlineReached):  # early: it still has to come
                self._set_timer()
            return
        self._keep_gate(old)
        await self._keep_local_ports(old)
        match command:
            case Command.OPEN_SESSION:
                self._open_session()
            case Command.CLOSE_SESSION if self._session_task is not None:
                self._session_task.cancel()
        self._note(old)
        self._set_timer()
        self._watch_files()
        self._services.on_change(self.tunnel.name)

    def _note(self, old: State) -> None:
        """Remember what status shows, and write the line of the log."""
        now = self._services.clock.wall()
        if not view.is_same_phase(old, self.state):
            self.changed_at = now
        failure = failure_of(self.state)
        known = self.trouble.failure if self.trouble else None
        if failure is not None:
            self.trouble = Trouble(failure, now)
        elif isinstance(self.state, Up | Stopped):
            self.trouble = None
        if isinstance(self.state, Up | Degraded) and not isinstance(old, Up | Degraded):
            self.restarts += self._has_been_up
            self._has_been_up = True
            self.progress = None
            self._services.on_up(self.tunnel.name)
        monotonic = self._services.clock.monotonic()
        line = narration.line(old, self.state, monotonic, self.session, known)
        if line is not None:
            self._services.journal.write(line[0], self.tunnel.name, line[1])

    # -- the session -------------------------------------------------------------------------

    def _open_session(self) -> None:
        self.session = Session(
            self.tunnel,
            self._services.finder,
            self._services.jumps,
            self._gate,
            self,
            lambda: [f for f in self.forwards if isinstance(f, RunningRemote)],
            self._opened,
        )
        self._session_task = self._tasks.create_task(self.session.run())
        # Not a `finally`: a task that is cancelled before its first step never enters its `try`.
        self._session_task.add_done_callback(self._report_end)

    def _opened(self) -> Failure | None:
        failure = self._first_failure()
        if failure is not None and self.tunnel.exit_on_forward_failure:
            return failure
        self.post(Opened(failure))
        return None

    def _report_end(self, task: asyncio.Task[Failure]) -> None:
        self._session_task = None
        self.progress = None
        if task.cancelled():
            self.post(Ended(CLOSED_ON_REQUEST))
        elif task.exception() is None:  # else it is a bug, and the task group raises it
            self.post(Ended(task.result()))

    # -- what the session reports (ssh.report.Report) ----------------------------------------

    def step(self, hop: str, step: Step) -> None:
        """The session is at a step of a hop."""
        self.progress = ProgressSnapshot(hop, step)
        self._services.on_change(self.tunnel.name)

    def debug(self, text: str) -> None:
        """For whoever looks closely."""
        self._services.journal.write("debug", self.tunnel.name, text)

    def info(self, text: str) -> None:
        """It happened and is fine."""
        self._services.journal.write("info", self.tunnel.name, text)

    def warn(self, text: str) -> None:
        """A person should mend it, though it goes on; said once, not at every attempt."""
        self._services.journal.notice("warning", self.tunnel.name, text)

    # -- the forwards ------------------------------------------------------------------------

    def _new(self, forward: Forward) -> Running:
        around = Surroundings(
            self._gate,
            self._tasks,
            self._services.clock,
            self._forwards_changed,
            self._client_refused,
        )
        return running(forward, self.tunnel, around)

    def _forwards_changed(self) -> None:
        self.post(ForwardsChanged(self._first_failure()))
        self._services.on_change(self.tunnel.name)

    def _first_failure(self) -> Failure | None:
        return next((f.trouble.failure for f in self.forwards if f.trouble is not None), None)

    def _client_refused(self, forward: Forward, words: str) -> None:
        self._services.journal.notice("warning", self.tunnel.name, f"{forward}: {words}")

    def _keep_gate(self, old: State) -> None:
        """Clients wait for a connection only while there may be one."""
        if isinstance(self.state, Stopped):
            self._gate.open(NOWHERE)
        elif isinstance(old, Stopped):
            self._gate.shut()

    async def _keep_local_ports(self, old: State) -> None:
        """Bound while the tunnel is wanted, whatever its connection does."""
        if is_wanted(self.state) and not is_wanted(old):
            for forward in self._locals():
                await forward.open()
        elif is_wanted(old) and not is_wanted(self.state):
            for forward in self._locals():
                forward.close()

    def _locals(self) -> list[RunningLocal]:
        return [f for f in self.forwards if isinstance(f, RunningLocal)]

    async def _adjust(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self._policy = Policy.of(tunnel, self._seed)
        known = self.forwards
        before = {running.forward: running for running in known}
        self.forwards = [before.pop(f) if f in before else self._new(f) for f in tunnel.forwards]
        # What is gone goes first: a new forward may want its port.
        for gone in before.values():
            if isinstance(gone, RunningRemote):
                await gone.close()
            else:
                gone.close()
        for served in self._locals():
            served.clients.hold_timeout = tunnel.hold_timeout
        new = [f for f in self.forwards if f not in known]
        # Remote ones at once: a session that connects while a local one opens has them already.
        for remote in new:
            if isinstance(remote, RunningRemote) and self.session is not None:
                self.session.attach(remote, self._tasks)
        for local in new:
            if isinstance(local, RunningLocal) and is_wanted(self.state):
                await local.open()
        self._forwards_changed()

    # -- time and files ----------------------------------------------------------------------

    def _set_timer(self) -> None:
        self._stop_timer()
        when = deadline(self.state)
        if when is not None:
            self._timer = self._services.clock.call_at(when, self._deadline_reached)

    def _deadline_reached(self) -> None:
        self._timer = None
        self.post(DeadlineReached())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_files(self) -> None:
        """While blocked, try again at once when a file that was at fault changes."""
        self._stop_watching()
        match self.state:
            case Blocked(failure=Failure(files=files)) if files and self.session is not None:
                before = {f: self.session.files[f] for f in files if f in self.session.files}
                self._watch = self._tasks.create_task(self._nudge_on_change(before))

    async def _nudge_on_change(self, before: dict[str, tuple[int, ...] | None]) -> None:
        await wait_for_change(before, self._services.clock)
        self.info("a key or known_hosts file changed: trying again")
        self.post(Nudged())

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
