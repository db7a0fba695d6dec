"""The sessions of a tunnel: the one in use and a second one that comes or goes.

It opens and closes them as it is told, and turns what they tell into events of the lifecycle. It
decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.lifecycle import (
    Drained,
    ReplacementEnded,
    ReplacementReady,
    SessionEnded,
    SessionOpened,
)
from tunnelkeeper.tunnel.session import Role, Session, SessionProgress

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.lifecycle import Event
    from tunnelkeeper.tunnel.context import TunnelContext
    from tunnelkeeper.tunnel.file_watcher import Signatures
    from tunnelkeeper.tunnel.forward_set import ForwardSet

CLOSED_ON_REQUEST = Failure(Cause.LOST, "closed on request")


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """What a session tells. Which of the two it is, is seen when the letter is read."""

    session: Session
    event: SessionOpened | ReplacementReady | Drained | SessionEnded


class SessionPair:
    """A session.Audience. current: the session in use, or the last one. second: if there is one."""

    def __init__(
        self, context: TunnelContext, forwards: ForwardSet, send: Callable[[SessionEvent], None]
    ) -> None:
        self.current: Session | None = None
        self.replacement: Session | None = None
        self._context = context
        self._forwards = forwards
        self._send = send
        self._last_ended: Session | None = None
        self._tasks: dict[Session, asyncio.Task[Failure]] = {}

    # -- what the lifecycle wants ------------------------------------------------------------

    def open(self, tunnel: Tunnel, tasks: asyncio.TaskGroup) -> None:
        """Start the session of the tunnel."""
        self.current = self._start(tunnel, tasks)
        self.current.serve()

    def open_replacement(self, tunnel: Tunnel, tasks: asyncio.TaskGroup) -> None:
        """Start another session, which connects and then waits."""
        self.replacement = self._start(tunnel, tasks)

    def switch(self) -> None:
        """Let the second session have clients and remote forwards; if the other lives, it leaves.

        It leaves once they all have been moved: until then it still holds the server's ports.
        """
        before, self.current = self.current, self.replacement
        self.replacement = before if before in self._tasks else None
        if self.current is not None:
            self.current.serve()

    def close_replacement(self) -> None:
        """End the second session."""
        if self.replacement in self._tasks:
            self._tasks[self.replacement].cancel()

    def close_all(self) -> None:
        """End every session; each will tell."""
        for task in self._tasks.values():
            task.cancel()

    # -- what the sessions tell (session.Audience) -------------------------------------------

    def on_connected(self, session: Session) -> None:
        """It could take over."""
        self._send(SessionEvent(session, ReplacementReady()))

    def on_serving(self, session: Session) -> Failure | None:
        """It has clients and forwards; the one before it has nothing more to do."""
        refused = self._forwards.first_listen_failure
        if refused is not None and session.tunnel.exit_on_forward_failure:
            return refused
        if self.replacement is not None and self.replacement.role is Role.SERVING:
            self.replacement.drain()
        self._forwards.check_now()
        return None

    async def finish_opening(self, session: Session) -> None:
        """Whoever hears that it is open may rely on what is checked."""
        if session.hop_connections is not None and self._forwards.has_checks:
            session.progress.step(str(session.hop_connections.connection.host), "checks")
        await self._forwards.wait_for_first_checks()
        self._send(SessionEvent(session, SessionOpened(self._forwards.first_failure)))

    def on_drained(self, session: Session) -> None:
        """It left, and nothing is open on it any more."""
        self._send(SessionEvent(session, Drained()))

    def to_lifecycle_event(self, session_event: SessionEvent) -> Event | None:
        """What news means for the tunnel now; None: nothing any more."""
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
        """How files were before the session that ended last used them; of those that it did use."""
        known = self._last_ended.files if self._last_ended is not None else {}
        return {path: known[path] for path in files if path in known}

    # -- inside ------------------------------------------------------------------------------

    def _start(self, tunnel: Tunnel, tasks: asyncio.TaskGroup) -> Session:
        session = Session(
            tunnel,
            self._context.host_resolver,
            self._context.connection_pool,
            self._forwards.gate,
            SessionProgress(tunnel.name, self._context),
            lambda: self._forwards.remote_forwards,
            self,
        )
        task = self._tasks[session] = tasks.create_task(session.run())
        # Not a `finally`: a task that is cancelled before its first step never enters its `try`.
        task.add_done_callback(lambda done: self._report_end(session, done))
        return session

    def _report_end(self, session: Session, task: asyncio.Task[Failure]) -> None:
        if task.cancelled():
            self._send(SessionEvent(session, SessionEnded(CLOSED_ON_REQUEST)))
        elif task.exception() is None:  # else it is a bug, and the task group raises it
            self._send(SessionEvent(session, SessionEnded(task.result())))
