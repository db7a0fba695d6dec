"""The sessions of a tunnel: the current one, and a replacement that connects or drains.

It opens and closes sessions on command and turns their reports into lifecycle events. It decides
nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import Struct, field

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.lifecycle import (
    Drained,
    ReplacementEnded,
    ReplacementReady,
    SessionEnded,
    SessionOpened,
)
from tunnelkeeper.core.ssh_values import SocketFileRules
from tunnelkeeper.core.unused_timeout import UnusedTimeout
from tunnelkeeper.presentation.formatting import format_duration
from tunnelkeeper.tunnel.connection_user import keep_in_use
from tunnelkeeper.tunnel.session import Role, Session, SessionProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.lifecycle import Event
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.tunnel.context import TunnelContext
    from tunnelkeeper.tunnel.dependency_watcher import Signatures
    from tunnelkeeper.tunnel.forward_set import ForwardSet

USE_HINT = "give one of its forwards a `check` of something that answers"
CLOSED_ON_REQUEST = Failure(Cause.LOST, "closed on request")


class SessionEvent(Struct, frozen=True):
    """A report of a session. Its role in the pair is determined when the event is processed."""

    session: Session
    event: SessionOpened | ReplacementReady | Drained | SessionEnded


class HostKnown(Struct, frozen=True):
    """The host of a session was looked up, and the forwards have to be expanded for it.

    handled: set when that is done.
    """

    handled: asyncio.Event = field(default_factory=asyncio.Event)


class SessionPair:
    """The sessions of one tunnel; a session.SessionListener.

    current is the session in use, or the last one. replacement is the other session, if any.
    """

    def __init__(
        self,
        name: str,
        context: TunnelContext,
        forwards: ForwardSet,
        send: Callable[[SessionEvent | HostKnown], None],
    ) -> None:
        self.current: Session | None = None
        self.replacement: Session | None = None
        self._name = name
        self._context = context
        self._forwards = forwards
        self._send = send
        self._last_ended: Session | None = None
        self._tasks: dict[Session, asyncio.Task[Failure]] = {}
        self._last_unused: tuple[str, float | None] = ("", None)

    # -- commands of the lifecycle -----------------------------------------------------------

    def open(self, tunnel: Tunnel, tasks: asyncio.TaskGroup) -> None:
        """Start the current session."""
        self.current = self._start(tunnel, tasks)
        self.current.serve()

    def open_replacement(self, tunnel: Tunnel, tasks: asyncio.TaskGroup) -> None:
        """Start another session, which connects and waits in standby."""
        self.replacement = self._start(tunnel, tasks)

    def switch(self) -> None:
        """Make the replacement current. The old session, if still open, drains.

        It drains only once all remote forwards have moved: until then it holds the server's ports.
        """
        before, self.current = self.current, self.replacement
        self.replacement = before if before in self._tasks else None
        if self.current is not None:
            self.current.serve()

    def close_replacement(self) -> None:
        """Close the replacement, or the session that drains."""
        if self.replacement in self._tasks:
            self._tasks[self.replacement].cancel()

    def close_all(self) -> None:
        """Close every session. Each reports its end."""
        for task in self._tasks.values():
            task.cancel()

    # -- session.SessionListener -------------------------------------------------------------

    def on_connected(self, session: Session) -> None:
        """Report that the replacement is ready to take over."""
        self._send(SessionEvent(session, ReplacementReady()))

    async def on_host_known(self, session: Session) -> None:
        """Let the runner expand the forwards for the host of a session."""
        host = session.host_chain[-1]
        rules = SocketFileRules(host.stream_local_bind_mask, host.stream_local_bind_unlink)
        self._forwards.set_socket_file_rules(rules)
        tokens = host.tokens
        if self._forwards.set_host_tokens(session.tunnel, tokens):
            expanded = HostKnown()
            self._send(expanded)
            await expanded.handled.wait()

    def on_serving(self, session: Session) -> Failure | None:
        """Drain the previous session, and start the checks.

        Return a failure if a forward cannot listen and exit_on_forward_failure is set.
        """
        failure = self._forwards.first_listen_failure
        if failure is not None and session.tunnel.exit_on_forward_failure:
            return failure
        if self.replacement is not None and self.replacement.role is Role.SERVING:
            self.replacement.drain()
        self._forwards.check_now()
        return None

    async def finish_opening(self, session: Session) -> None:
        """Report the session open after its first checks, so that `up` means checked."""
        if session.hop_connections is not None and self._forwards.has_checks:
            session.progress.step(str(session.hop_connections.connection.host), "checks")
        await self._forwards.wait_for_first_checks()
        self._send(SessionEvent(session, SessionOpened(self._forwards.first_failure)))

    async def keep_in_use(self, connection: Connection) -> None:
        """Keep a connection in use, if its server closes unused ones."""
        known = self._context.ssh_context.unused_timeouts.get(str(connection.host))
        if known is not None and known.use_interval is not None:
            connection.unused_timeout = known.seconds
            self._context.on_change(self._name)
            await keep_in_use(
                connection,
                known.use_interval,
                lambda: self._forwards.all,
                self._context.clock,
                lambda text: self._context.event_log.write("warning", self._name, text, USE_HINT),
            )

    def on_connection_ended(self, connection: Connection) -> None:
        """Learn whether its server closes connections without channels.

        A server that restarts ends those of several tunnels at once, after the same time; so each
        tunnel compares its own connections.
        """
        known = self._context.ssh_context.unused_timeouts
        host = str(connection.host)
        last_host, last = self._last_unused
        shared = known.get(host, UnusedTimeout())
        before = replace(shared, last=last if host == last_host else None)
        unused = connection.unused_seconds if connection.was_closed_by_server else None
        known[host] = before.after_end(unused)
        self._last_unused = host, known[host].last
        seconds = known[host].seconds
        if seconds is not None and before.seconds is None:
            self._context.event_log.write(
                "info",
                self._name,
                f"{host} closes connections that have no channel after {format_duration(seconds)}"
                " (UnusedConnectionTimeout); they are kept in use from now on",
            )

    def on_drained(self, session: Session) -> None:
        """Report that the session has drained."""
        self._send(SessionEvent(session, Drained()))

    def to_lifecycle_event(self, session_event: SessionEvent) -> Event | None:
        """Return the lifecycle event for a session event, or None if it is outdated."""
        is_replacement = session_event.session is self.replacement
        match session_event.event:
            case SessionEnded(failure=failure):
                del self._tasks[session_event.session]
                self._last_ended = session_event.session
                if not is_replacement:
                    return session_event.event
                self.replacement = None
                return ReplacementEnded(failure)
            case SessionOpened():
                return None if is_replacement else session_event.event
            case ReplacementReady() | Drained():
                return session_event.event if is_replacement else None

    def signatures_before_use(self, files: Iterable[str]) -> Signatures:
        """Return the signatures that files had before the last ended session used them.

        Those of ssh_config are always included: it may decide everything. Files that the session
        did not use are left out.
        """
        if self._last_ended is None:
            return {}
        used = self._last_ended.files
        own = {path: used[path] for path in files if path in used}
        return self._last_ended.config_files | own

    # -- inside ------------------------------------------------------------------------------

    def _start(self, tunnel: Tunnel, tasks: asyncio.TaskGroup) -> Session:
        context = self._context
        session = Session(
            tunnel,
            self._context.host_resolver,
            self._context.connection_pool,
            self._forwards.gate,
            SessionProgress(tunnel.name, self._context),
            lambda: self._forwards.remote_forwards,
            self,
            lambda files: context.read_signatures(files, context.clock.monotonic()),
        )
        task = self._tasks[session] = tasks.create_task(session.run())
        # Not a `finally`: a task that is cancelled before its first step never enters its `try`.
        task.add_done_callback(lambda done: self._report_end(session, done))
        return session

    def _report_end(self, session: Session, task: asyncio.Task[Failure]) -> None:
        if task.cancelled():
            self._send(SessionEvent(session, SessionEnded(CLOSED_ON_REQUEST)))
        elif task.exception() is None:  # otherwise it is a bug, which the task group raises
            self._send(SessionEvent(session, SessionEnded(task.result())))
