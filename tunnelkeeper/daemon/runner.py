"""Runs one tunnel: feeds events to the lifecycle and carries out what it says.

It decides nothing about states; that is core.lifecycle. It owns the tunnel's session, its
forwards and its timer, and everybody else sees only its snapshots.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import ASKED_NOTHING_OF_THE_SERVER, Failure
from tunnelkeeper.core.lifecycle import (
    Command,
    DeadlineReached,
    Event,
    ForwardsChanged,
    Nudged,
    Restart,
    RestartGracefully,
    Start,
    Stop,
    Useless,
    WayChanged,
    step,
)
from tunnelkeeper.core.retries import Policy
from tunnelkeeper.core.states import (
    BackingOff,
    Blocked,
    Degraded,
    State,
    Stopped,
    Stopping,
    Up,
    deadline,
    failure_of,
    is_wanted,
    opened_at,
    second_of,
)
from tunnelkeeper.core.succession import Alone, Delayed, Leaving, Second
from tunnelkeeper.daemon import narration, view
from tunnelkeeper.daemon.filewatch import FileWatch
from tunnelkeeper.daemon.forward_set import ForwardSet
from tunnelkeeper.daemon.forwards import RunningForward, Trouble
from tunnelkeeper.daemon.hooks import Hooks
from tunnelkeeper.daemon.nursery import Nursery
from tunnelkeeper.daemon.sessions import News, Sessions
from tunnelkeeper.forwarding.gate import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.core.tunnels import Host, Tunnel
    from tunnelkeeper.daemon.clock import Timer
    from tunnelkeeper.daemon.services import Services
    from tunnelkeeper.daemon.session import Session
    from tunnelkeeper.forwarding.gate import Gate

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Adjust:
    """Take over a new configuration: forwards and policies, without touching the connection."""

    tunnel: Tunnel


class Runner:
    """One tunnel, from its configuration to its end. `run` is its life; `post` its mailbox.

    policy_of: what to make of a tunnel's configuration and the seed.
    """

    def __init__(
        self,
        tunnel: Tunnel,
        services: Services,
        seed: str,
        policy_of: Callable[[Tunnel, str], Policy] = Policy.of,
    ) -> None:
        self.tunnel = tunnel
        self.state: State = Stopped()
        self.changed_at: datetime = services.clock.wall()
        self.restarts = 0
        self.trouble: Trouble | None = None
        self.setback: Trouble | None = None
        self._services = services
        self._policy_of = policy_of
        self._policy = policy_of(tunnel, seed)
        self._seed = seed
        self._forwards = ForwardSet(
            tunnel.name, services, self._forwards_changed, lambda: self.post(Useless())
        )
        self._sessions = Sessions(services, self._forwards, self.post)
        self._mail: asyncio.Queue[Event | News | Adjust | None] = asyncio.Queue()
        self._timer: Timer | None = None
        self._watch = FileWatch(services.clock, self._file_changed)
        self._tasks: Nursery
        self._has_been_up = False
        self._hooks = Hooks(services.journal, services.hook_places)
        self._settled = asyncio.Event()

    # -- what others ask ---------------------------------------------------------------------

    def post(self, event: Event | News | Adjust) -> None:
        """Let something happen to the tunnel."""
        self._settled.clear()
        self._mail.put_nowait(event)

    def retire(self) -> None:
        """Stop, and end `run` with it."""
        self.post(Stop())
        self._mail.put_nowait(None)

    async def until_stopped(self) -> None:
        """Wait until all that was posted is done and the tunnel is stopped, or is wanted again."""
        while not self._mail.empty() or self._is_on_the_way_down:
            self._settled.clear()
            await self._settled.wait()

    @property
    def _is_on_the_way_down(self) -> bool:
        return isinstance(self.state, Stopping) and not is_wanted(self.state)

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
    def session(self) -> Session | None:
        """The session that it has, or the last one that it had."""
        return self._sessions.current

    @property
    def second(self) -> Session | None:
        """The session that is to take over, or that leaves, if there is one."""
        return self._sessions.second

    @property
    def forwards(self) -> Sequence[RunningForward]:
        """Its forwards, in the order of the config file; none before it first runs."""
        return self._forwards.all

    @property
    def way(self) -> tuple[Host, ...]:
        """The hosts of the last session, first hop first; empty before they were looked up."""
        return self.session.way if self.session is not None else ()

    @property
    def gate(self) -> Gate:
        """The way in for connections that are not a forward's (ssh -W)."""
        return self._forwards.gate

    # -- its life ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Handle what is posted until retired."""
        async with Nursery() as self._tasks:
            self._forwards.make(self.tunnel, self._tasks)
            try:
                await self._handle_mail()
            finally:
                self._stop_timer()
                self._watch.stop()
                self._forwards.unbind()
                self._hooks.hurry()

    async def _handle_mail(self) -> None:
        retiring = False
        while not (retiring and isinstance(self.state, Stopped) and self._mail.empty()):
            match await self._mail.get():
                case None:
                    retiring = True
                case Start() | Restart() | RestartGracefully() | WayChanged() if retiring:
                    pass
                case letter:
                    await self._handle_or_complain(letter)
            self._settled.set()

    async def _handle_or_complain(self, letter: Event | News | Adjust) -> None:
        try:
            match letter:
                case Adjust(tunnel=tunnel):
                    await self._adjust(tunnel)
                case News():
                    event = self._sessions.read(letter)
                    if event is not None:
                        await self._handle(event)
                case event:
                    await self._handle(event)
        except Exception:  # a fault in one step must not leave the tunnel without a runner
            log.exception("tunnel %s: an internal fault; please report it", self.tunnel.name)

    async def _handle(self, event: Event) -> None:
        old = self.state
        if isinstance(event, Nudged):
            for remote in self._forwards.remotes:
                remote.nudge()
        self.state, command = step(old, event, self._services.clock.monotonic(), self._policy)
        if self.state == old and command is None:
            if isinstance(event, DeadlineReached):  # early: it still has to come
                self._set_timer()
            return
        self._keep_gate(old)
        await self._keep_local_ports(old)
        match command:
            case Command.OPEN_SESSION:
                self._sessions.open(self.tunnel, self._tasks)
            case Command.OPEN_SECOND:
                self._sessions.open_second(self.tunnel, self._tasks)
            case Command.SWITCH:
                self._sessions.switch()
            case Command.CLOSE_SECOND:
                self._sessions.close_second()
            case Command.CLOSE_ALL:
                self._sessions.close_all()
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
        told = self.setback if isinstance(second_of(self.state), Delayed) else self.trouble
        if failure is not None:
            self.trouble = Trouble(failure, now)
        elif isinstance(self.state, Up | Stopped):
            self.trouble = None
        self._note_replacement(second_of(old), second_of(self.state))
        if opened_at(self.state) > opened_at(old):
            self.restarts += self._has_been_up
            self._has_been_up = True
            self._services.on_up(self.tunnel.name)
        self._hooks.tell(self.tunnel, view.name_of(self.state), failure, self._tasks)
        monotonic = self._services.clock.monotonic()
        known = told.failure if told else None
        line = narration.line(old, self.state, monotonic, self.session, known)
        if line is not None:
            self._services.journal.write(line[0], self.tunnel.name, line[1])

    def _note_replacement(self, old: Second, new: Second) -> None:
        match new:
            case Delayed(failure=failure) if new != old:
                self.setback = Trouble(failure, self._services.clock.wall())
            case Alone() | Leaving():
                self.setback = None

    # -- the forwards ------------------------------------------------------------------------

    def _forwards_changed(self) -> None:
        self.post(ForwardsChanged(self._forwards.first_failure))
        self._services.on_change(self.tunnel.name)

    def _keep_gate(self, old: State) -> None:
        """Clients wait for a connection only while there may be one."""
        if isinstance(self.state, Stopped):
            self._forwards.gate.open(NOWHERE)
        elif isinstance(old, Stopped):
            self._forwards.gate.shut()

    async def _keep_local_ports(self, old: State) -> None:
        """Bound while the tunnel is wanted, whatever its connection does."""
        if is_wanted(self.state) and not is_wanted(old):
            await self._forwards.bind()
        elif is_wanted(old) and not is_wanted(self.state):
            self._forwards.unbind()

    async def _adjust(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self._policy = self._policy_of(tunnel, self._seed)
        await self._forwards.adjust(tunnel, self.session, bound=is_wanted(self.state))
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
        """Where a file was at fault, try again at once when it changes."""
        self._watch.stop()
        match self.state:
            case Blocked(failure=failure) | Up(second=Delayed(failure=failure)):
                files = failure.files
            case Degraded(second=Delayed(failure=failure)):
                files = failure.files
            case _:
                return
        before = self._sessions.files_before(files)
        if before:
            self._watch.start(before, self._tasks)

    def _file_changed(self) -> None:
        words = "a key or known_hosts file changed: trying again"
        self._services.journal.write("info", self.tunnel.name, words)
        self.post(Nudged())
