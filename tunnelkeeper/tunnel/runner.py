"""Runs one tunnel: feeds events to the lifecycle and carries out what it says.

It decides nothing about states; that is core.lifecycle. It owns the tunnel's session, its
forwards and its timer, and everybody else sees only its snapshots.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import NO_HANDSHAKE_CAUSES, Failure
from tunnelkeeper.core.lifecycle import (
    Command,
    ConnectionUnhealthy,
    DeadlineReached,
    Event,
    ForwardsChanged,
    HostChanged,
    Restart,
    RestartGracefully,
    RetryNow,
    Start,
    Stop,
    step,
)
from tunnelkeeper.core.retry_policy import RetryPolicy
from tunnelkeeper.core.states import (
    BackingOff,
    Blocked,
    Degraded,
    Draining,
    NoReplacement,
    Replacement,
    ReplacementBackoff,
    State,
    Stopped,
    Stopping,
    Up,
    deadline,
    failure_of,
    is_same_phase,
    is_wanted,
    opened_at,
    replacement_of,
    state_name,
)
from tunnelkeeper.forwarding.gate import STOPPED
from tunnelkeeper.tunnel import log_messages
from tunnelkeeper.tunnel.file_watcher import FileWatcher
from tunnelkeeper.tunnel.forward import FailureRecord, RunningForward
from tunnelkeeper.tunnel.forward_set import ForwardSet
from tunnelkeeper.tunnel.hook_runner import HookRunner
from tunnelkeeper.tunnel.session_pair import SessionEvent, SessionPair
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from tunnelkeeper.clock import Timer
    from tunnelkeeper.core.configuration import Host, Tunnel
    from tunnelkeeper.forwarding.gate import Gate
    from tunnelkeeper.tunnel.context import TunnelContext
    from tunnelkeeper.tunnel.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """Take over a new configuration: forwards and policies, without touching the connection."""

    tunnel: Tunnel


class Runner:
    """One tunnel, from its configuration to its end. `run` is its life; `post` its mailbox.

    policy_of: what to make of a tunnel's configuration and the seed.
    """

    def __init__(
        self,
        tunnel: Tunnel,
        services: TunnelContext,
        seed: str,
        policy_of: Callable[[Tunnel, str], RetryPolicy] = RetryPolicy.from_tunnel,
    ) -> None:
        self.tunnel = tunnel
        self.state: State = Stopped()
        self.changed_at: datetime = services.clock.wall()
        self.restarts = 0
        self.last_failure: FailureRecord | None = None
        self.setback: FailureRecord | None = None
        self._services = services
        self._policy_of = policy_of
        self._policy = policy_of(tunnel, seed)
        self._seed = seed
        self._forwards = ForwardSet(
            tunnel.name, services, self._forwards_changed, lambda: self.send(ConnectionUnhealthy())
        )
        self._sessions = SessionPair(services, self._forwards, self.send)
        self._mail: asyncio.Queue[Event | SessionEvent | Reconfigure | None] = asyncio.Queue()
        self._timer: Timer | None = None
        self._watch = FileWatcher(services.clock, self._file_changed)
        self._tasks: IsolatedTaskGroup
        self._has_been_up = False
        self._hooks = HookRunner(services.journal, services.hook_slots)
        self._settled = asyncio.Event()

    # -- what others ask ---------------------------------------------------------------------

    def send(self, event: Event | SessionEvent | Reconfigure) -> None:
        """Let something happen to the tunnel."""
        self._settled.clear()
        self._mail.put_nowait(event)

    def retire(self) -> None:
        """Stop, and end `run` with it."""
        self.send(Stop())
        self._mail.put_nowait(None)

    async def until_stopped(self) -> None:
        """Wait until all that was posted is done and the tunnel is stopped, or is wanted again."""
        while not self._mail.empty() or self._is_on_the_way_down:
            self._settled.clear()
            await self._settled.wait()

    @property
    def _is_on_the_way_down(self) -> bool:
        return isinstance(self.state, Stopping) and not is_wanted(self.state)

    def is_waiting_for(self, first_hop: Host) -> bool:
        """Whether it is in backoff because nothing answered, there or behind that host."""
        match self.state:
            case BackingOff(failure=Failure(cause=cause)) if cause in NO_HANDSHAKE_CAUSES:
                return bool(self.way) and self.way[0] == first_hop
        return False

    @property
    def session(self) -> Session | None:
        """The session that it has, or the last one that it had."""
        return self._sessions.current

    @property
    def second(self) -> Session | None:
        """The session that is to take over, or that leaves, if there is one."""
        return self._sessions.replacement

    @property
    def forwards(self) -> Sequence[RunningForward]:
        """Its forwards, in the order of the config file; none before it first runs."""
        return self._forwards.all

    @property
    def way(self) -> tuple[Host, ...]:
        """The hosts of the last session, first hop first; empty before they were looked up."""
        return self.session.host_chain if self.session is not None else ()

    @property
    def gate(self) -> Gate:
        """The way in for connections that are not a forward's (ssh -W)."""
        return self._forwards.gate

    # -- its life ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Handle what is posted until retired."""
        async with IsolatedTaskGroup() as self._tasks:
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
                case Start() | Restart() | RestartGracefully() | HostChanged() if retiring:
                    pass
                case letter:
                    await self._handle_or_complain(letter)
            self._settled.set()

    async def _handle_or_complain(self, letter: Event | SessionEvent | Reconfigure) -> None:
        try:
            match letter:
                case Reconfigure(tunnel=tunnel):
                    await self._adjust(tunnel)
                case SessionEvent():
                    event = self._sessions.read(letter)
                    if event is not None:
                        await self._handle(event)
                case event:
                    await self._handle(event)
        except Exception:  # a fault in one step must not leave the tunnel without a runner
            log.exception("tunnel %s: an internal fault; please report it", self.tunnel.name)

    async def _handle(self, event: Event) -> None:
        old = self.state
        if isinstance(event, RetryNow):
            for remote in self._forwards.remotes:
                remote.retry_now()
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
            case Command.OPEN_REPLACEMENT:
                self._sessions.open_second(self.tunnel, self._tasks)
            case Command.SWITCH_SESSIONS:
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
        if not is_same_phase(old, self.state):
            self.changed_at = now
        failure = failure_of(self.state)
        told = (
            self.setback
            if isinstance(replacement_of(self.state), ReplacementBackoff)
            else self.last_failure
        )
        if failure is not None:
            self.last_failure = FailureRecord(failure, now)
        elif isinstance(self.state, Up | Stopped):
            self.last_failure = None
        self._note_replacement(replacement_of(old), replacement_of(self.state))
        if opened_at(self.state) > opened_at(old):
            self.restarts += self._has_been_up
            self._has_been_up = True
            self._services.on_up(self.tunnel.name)
        self._hooks.on_state(self.tunnel, state_name(self.state), failure, self._tasks)
        monotonic = self._services.clock.monotonic()
        known = told.failure if told else None
        line = log_messages.transition_message(old, self.state, monotonic, self.session, known)
        if line is not None:
            self._services.journal.write(line[0], self.tunnel.name, line[1])

    def _note_replacement(self, old: Replacement, new: Replacement) -> None:
        match new:
            case ReplacementBackoff(failure=failure) if new != old:
                self.setback = FailureRecord(failure, self._services.clock.wall())
            case NoReplacement() | Draining():
                self.setback = None

    # -- the forwards ------------------------------------------------------------------------

    def _forwards_changed(self) -> None:
        self.send(ForwardsChanged(self._forwards.first_failure))
        self._services.on_change(self.tunnel.name)

    def _keep_gate(self, old: State) -> None:
        """Clients wait for a connection only while there may be one."""
        if isinstance(self.state, Stopped):
            self._forwards.gate.open(STOPPED)
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
        self.send(DeadlineReached())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_files(self) -> None:
        """Where a file was at fault, try again at once when it changes."""
        self._watch.stop()
        match self.state:
            case Blocked(failure=failure) | Up(replacement=ReplacementBackoff(failure=failure)):
                files = failure.files
            case Degraded(replacement=ReplacementBackoff(failure=failure)):
                files = failure.files
            case _:
                return
        before = self._sessions.files_before(files)
        if before:
            self._watch.start(before, self._tasks)

    def _file_changed(self) -> None:
        words = "a key or known_hosts file changed: trying again"
        self._services.journal.write("info", self.tunnel.name, words)
        self.send(RetryNow())
