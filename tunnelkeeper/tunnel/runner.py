"""Runs one tunnel: passes events to the state machine and executes its commands.

It owns the sessions, forwards and timer of the tunnel. It decides no state transition; that is
core.lifecycle. Other modules see only snapshots of it.
"""

from __future__ import annotations

import asyncio
import logging
from math import inf
from typing import TYPE_CHECKING

from msgspec import Struct

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
    Connecting,
    Degraded,
    Draining,
    NoReplacement,
    Replacement,
    ReplacementBackoff,
    ReplacementConnecting,
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
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.tunnel import log_messages
from tunnelkeeper.tunnel.dependency_watcher import DependencyWatcher
from tunnelkeeper.tunnel.forward import FailureRecord, RunningForward
from tunnelkeeper.tunnel.forward_set import ForwardSet
from tunnelkeeper.tunnel.hook_runner import HookRunner
from tunnelkeeper.tunnel.session_pair import HostKnown, SessionEvent, SessionPair
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from tunnelkeeper.clock import Timer
    from tunnelkeeper.core.ad_hoc import AdHoc
    from tunnelkeeper.core.configuration import Host, Tunnel
    from tunnelkeeper.forwarding.gate import Gate
    from tunnelkeeper.tunnel.context import TunnelContext
    from tunnelkeeper.tunnel.session import Session

log = logging.getLogger(__name__)


class Reconfigure(Struct, frozen=True):
    """Apply a new configuration of forwards and policies without touching the connection."""

    tunnel: Tunnel


Message = Event | SessionEvent | HostKnown | Reconfigure
"""What a runner processes, one after the other."""


class Runner:
    """The runner of one tunnel. `run` processes the events that `send` queues.

    policy_of: Makes the retry policy for an event from the tunnel's configuration and the seed.
    ad_hoc: Set for a tunnel that is not in the config file.
    """

    def __init__(
        self,
        tunnel: Tunnel,
        context: TunnelContext,
        seed: str,
        policy_of: Callable[[Tunnel, str], RetryPolicy] = RetryPolicy.from_tunnel,
        ad_hoc: AdHoc | None = None,
    ) -> None:
        self.tunnel = tunnel
        self.ad_hoc = ad_hoc
        self.state: State = Stopped()
        self.changed_at: datetime = context.clock.wall()
        self.restarts = 0
        self.last_failure: FailureRecord | None = None
        self.replacement_failure: FailureRecord | None = None
        self._context = context
        self._policy_of = policy_of
        self._seed = seed
        self._forwards = ForwardSet(
            tunnel.name,
            context,
            self._on_forwards_changed,
            lambda: self.send(ConnectionUnhealthy()),
        )
        self._sessions = SessionPair(tunnel.name, context, self._forwards, self.send)
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self._timer: Timer | None = None
        self._watcher = DependencyWatcher(
            context.clock,
            context.ssh_context.agent_key_lists,
            context.read_signatures,
            self._on_dependency_changed,
        )
        self._tasks: IsolatedTaskGroup
        self._has_been_up = False
        self._hooks = HookRunner(context.event_log, context.hook_limiter)
        self._inbox_processed = asyncio.Event()
        self._has_ended = False

    # -- the public interface ----------------------------------------------------------------

    def send(self, event: Message) -> None:
        """Queue an event for the tunnel."""
        self._inbox_processed.clear()
        self._inbox.put_nowait(event)

    def shutdown(self) -> None:
        """Stop the tunnel and let `run` return."""
        self.send(Stop())
        self._inbox.put_nowait(None)

    async def until_stopped(self) -> None:
        """Wait until all queued events are processed and the tunnel is stopped or wanted again.

        After the end of `run`, nothing processes them.
        """
        while not self._has_ended and (not self._inbox.empty() or self._is_stopping):
            self._inbox_processed.clear()
            await self._inbox_processed.wait()

    @property
    def _is_stopping(self) -> bool:
        return isinstance(self.state, Stopping) and not is_wanted(self.state)

    def is_waiting_for_server(self, first_hop: Host) -> bool:
        """Whether the tunnel is in backoff because this host, or one behind it, did not answer."""
        match self.state:
            case BackingOff(failure=Failure(cause=cause)) if cause in NO_HANDSHAKE_CAUSES:
                return bool(self.host_chain) and self.host_chain[0] == first_hop
        return False

    @property
    def session(self) -> Session | None:
        """The current session, or the last one."""
        return self._sessions.current

    @property
    def replacement(self) -> Session | None:
        """The session that is about to take over or that drains, if any."""
        return self._sessions.replacement

    @property
    def forwards(self) -> Sequence[RunningForward]:
        """The forwards in the order of the config file; empty before `run`."""
        return self._forwards.all

    @property
    def host_chain(self) -> tuple[Host, ...]:
        """The hosts of the last session, first hop first; empty until they are resolved."""
        return self.session.host_chain if self.session is not None else ()

    @property
    def gate(self) -> Gate:
        """The gate for connections that belong to no forward (ssh -W)."""
        return self._forwards.gate

    # -- the event loop ----------------------------------------------------------------------

    async def run(self) -> None:
        """Process queued events until `shutdown`."""
        async with IsolatedTaskGroup() as self._tasks:
            self._forwards.create(self.tunnel, self._tasks)
            try:
                await self._process_inbox()
            finally:
                self._stop_timer()
                self._watcher.stop()
                self._forwards.unbind()
                self._hooks.end_on_up()
                self._has_ended = True
                self._inbox_processed.set()

    async def _process_inbox(self) -> None:
        is_shutting_down = False
        while not (is_shutting_down and isinstance(self.state, Stopped) and self._inbox.empty()):
            match await self._inbox.get():
                case None:
                    is_shutting_down = True
                case Start() | Restart() | RestartGracefully() | HostChanged() if is_shutting_down:
                    pass
                case message:
                    await self._handle_message(message)
            self._inbox_processed.set()

    async def _handle_message(self, message: Message) -> None:
        try:
            match message:
                case Reconfigure(tunnel=tunnel):
                    await self._reconfigure(tunnel)
                case HostKnown(handled=handled):
                    try:
                        await self._reconfigure(self.tunnel)
                    finally:
                        handled.set()
                case SessionEvent():
                    event = self._sessions.to_lifecycle_event(message)
                    if event is not None:
                        await self._handle_event(event)
                case event:
                    await self._handle_event(event)
        except Exception:  # a bug in one step must not leave the tunnel without a runner
            end_if_out_of_memory()
            log.exception("tunnel %s: an internal fault; please report it", self.tunnel.name)

    async def _handle_event(self, event: Event) -> None:
        old = self.state
        if isinstance(event, RetryNow):
            for remote in self._forwards.remote_forwards:
                remote.retry_now()
        policy = self._policy_of(self.tunnel, self._seed)
        self.state, command = step(old, event, self._context.clock.monotonic(), policy)
        if self.state == old and command is None:
            if isinstance(event, DeadlineReached):  # the timer fired early: set it again
                self._set_timer()
            return
        self._update_gate(old)
        await self._update_local_ports(old)
        match command:
            case Command.OPEN_SESSION:
                self._sessions.open(self.tunnel, self._tasks)
            case Command.OPEN_REPLACEMENT:
                self._sessions.open_replacement(self.tunnel, self._tasks)
            case Command.SWITCH_SESSIONS:
                self._sessions.switch()
            case Command.CLOSE_REPLACEMENT:
                self._sessions.close_replacement()
            case Command.CLOSE_ALL:
                self._sessions.close_all()
        self._record_transition(old)
        self._set_timer()
        self._watch_dependencies()
        self._wait_for_answers()
        self._context.on_change(self.tunnel.name)

    def _record_transition(self, old: State) -> None:
        """Update the fields that status shows, run hooks and log the transition."""
        now = self._context.clock.wall()
        if not is_same_phase(old, self.state):
            self.changed_at = now
        failure = failure_of(self.state)
        last_record = (
            self.replacement_failure
            if isinstance(replacement_of(self.state), ReplacementBackoff)
            else self.last_failure
        )
        if failure is not None:
            self.last_failure = FailureRecord(failure, now)
        elif isinstance(self.state, Up | Stopped):
            self.last_failure = None
        self._record_replacement_failure(replacement_of(old), replacement_of(self.state))
        if opened_at(self.state) > opened_at(old):
            self.restarts += self._has_been_up
            self._has_been_up = True
            self._context.on_up(self.tunnel.name)
        self._hooks.on_state(self.tunnel, state_name(self.state), failure, self._tasks)
        monotonic = self._context.clock.monotonic()
        last_logged = last_record.failure if last_record else None
        message = log_messages.transition_message(
            old, self.state, monotonic, self.session, last_logged
        )
        attending = self._context.ssh_context.questions.attending
        if failure is not None and failure.question and attending({self.tunnel.name}):
            message = log_messages.asked_message(failure)
        if message is not None:
            level, text, hint = message
            self._context.event_log.write(level, self.tunnel.name, text, hint)

    def _record_replacement_failure(self, old: Replacement, new: Replacement) -> None:
        match new:
            case ReplacementBackoff(failure=failure) if new != old:
                self.replacement_failure = FailureRecord(failure, self._context.clock.wall())
            case NoReplacement() | Draining():
                self.replacement_failure = None

    # -- the forwards ------------------------------------------------------------------------

    def _on_forwards_changed(self) -> None:
        self.send(ForwardsChanged(self._forwards.first_failure))
        self._context.on_change(self.tunnel.name)

    def _update_gate(self, old: State) -> None:
        """Let clients wait for a connection unless the tunnel is stopped."""
        if isinstance(self.state, Stopped):
            self._forwards.gate.open(STOPPED)
        elif isinstance(old, Stopped):
            self._forwards.gate.close()

    async def _update_local_ports(self, old: State) -> None:
        """Keep local ports bound while the tunnel is wanted, connected or not."""
        if is_wanted(self.state) and not is_wanted(old):
            await self._forwards.bind()
        elif is_wanted(old) and not is_wanted(self.state):
            self._forwards.unbind()

    async def _reconfigure(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        await self._forwards.reconfigure(tunnel, self.session, bound=is_wanted(self.state))
        self._on_forwards_changed()

    # -- time and files ----------------------------------------------------------------------

    def _set_timer(self) -> None:
        self._stop_timer()
        when = deadline(self.state)
        if when is not None:
            self._timer = self._context.clock.call_at(when, self._on_deadline)

    def _on_deadline(self) -> None:
        self._timer = None
        self.send(DeadlineReached())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_dependencies(self) -> None:
        """Watch what the failure depended on, to retry as soon as that changes."""
        self._watcher.stop()
        match self.state:
            case (
                Blocked(failure=failure, retry_at=at)
                | Up(replacement=ReplacementBackoff(failure=failure, retry_at=at))
                | Degraded(replacement=ReplacementBackoff(failure=failure, retry_at=at))
            ) if failure.needs_user and (at < inf or failure.question):
                before = self._sessions.signatures_before_use(failure.files)
                self._watcher.start(failure, before, self._tasks)

    def _wait_for_answers(self) -> None:
        """Report for which question the tunnel waits. An attempt may still meet it again."""
        replacement = replacement_of(self.state)
        if isinstance(self.state, Connecting) or isinstance(replacement, ReplacementConnecting):
            return
        failure = failure_of(self.state)
        if isinstance(replacement, ReplacementBackoff):
            failure = replacement.failure
        needed = {failure.question} - {""} if failure is not None else set()
        board = self._context.ssh_context.questions
        board.wait(self.tunnel.name, needed)
        if not needed <= {question.id for question in board.questions}:
            self.send(RetryNow())  # it was answered before the tunnel waited for it

    def _on_dependency_changed(self, change: str) -> None:
        self._context.event_log.write("info", self.tunnel.name, f"{change}: trying again")
        self._context.host_resolver.forget()
        self.send(RetryNow())
