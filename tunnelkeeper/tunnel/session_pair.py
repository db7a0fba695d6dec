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
    ReplacementReady,
    SecondSessionEnded,
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
        self, services: TunnelContext, forwards: ForwardSet, post: Callable[[SessionEvent], None]
    ) -> None:
        self.current: Session | None = None
        self.replacement: Session | None = None
        self._services = services
        self._forwards = forwards
        self._post = post
        self._ended: Session | None = None
        self._running: dict[Session, asyncio.Task[Failure]] = {}

    # -- what the lifecycle wants ------------------------------------------------------------

    def open(self, tunnel: Tunnel, tasks: asyncio.TaskGroup) -> None:
        """Start the session of the tunnel."""
        self.current = self._begin(tunnel, tasks)
        self.current.serve()

    def open_second(self, tunnel: Tunnel, tasks: asyncio.TaskGroup) -> None:
        """Start another session, which connects and then waits."""
        self.replacement = self._begin(tunnel, tasks)

    def switch(self) -> None:
        """Let the second session have clients and remote forwards; if the other lives, it leaves.

        It leaves once they all have been moved: until then it still holds the server's ports.
        """
        before, self.current = self.current, self.replacement
        self.replacement = before if before in self._running else None
        if self.current is not None:
            self.current.serve()

    def close_second(self) -> None:
        """End the second session."""
        if self.replacement in self._running:
            self._running[self.replacement].cancel()

    def close_all(self) -> None:
        """End every session; each will tell."""
        for task in self._running.values():
            task.cancel()

    # -- what the sessions tell (session.Audience) -------------------------------------------

    def connected(self, session: Session) -> None:
        """It could take over."""
        self._post(SessionEvent(session, ReplacementReady()))

    def served(self, session: Session) -> Failure | None:
        """It has clients and forwards; the one before it has nothing more to do."""
        refused = self._forwards.first_refusal
        if refused is not None and session.tunnel.exit_on_forward_failure:
            return refused
        if self.replacement is not None and self.replacement.role is Role.SERVE:
            self.replacement.drain()
        self._forwards.check()
        return None

    async def checked(self, session: Session) -> None:
        """Whoever hears that it is open may rely on what is checked."""
        if session.chain is not None and self._forwards.has_checks:
            session.report.step(str(session.chain.connection.host), "checks")
        await self._forwards.checked()
        self._post(SessionEvent(session, SessionOpened(self._forwards.first_failure)))

    def drained(self, session: Session) -> None:
        """It left, and nothing is open on it any more."""
        self._post(SessionEvent(session, Drained()))

    def read(self, news: SessionEvent) -> Event | None:
        """What news means for the tunnel now; None: nothing any more."""
        is_second = news.session is self.replacement
        match news.event:
            case SessionEnded(failure=failure):
                del self._running[news.session]
                self._ended = news.session
                if not is_second:
                    return news.event
                self.replacement = None
                return SecondSessionEnded(failure)
            case SessionOpened():
                return None if is_second else news.event
            case ReplacementReady() | Drained():
                return news.event if is_second else None

    def files_before(self, files: Iterable[str]) -> Signatures:
        """How files were before the session that ended last used them; of those that it did use."""
        known = self._ended.files if self._ended is not None else {}
        return {path: known[path] for path in files if path in known}

    # -- inside ------------------------------------------------------------------------------

    def _begin(self, tunnel: Tunnel, tasks: asyncio.TaskGroup) -> Session:
        session = Session(
            tunnel,
            self._services.host_resolver,
            self._services.connection_pool,
            self._forwards.gate,
            SessionProgress(tunnel.name, self._services),
            lambda: self._forwards.remotes,
            self,
        )
        task = self._running[session] = tasks.create_task(session.run())
        # Not a `finally`: a task that is cancelled before its first step never enters its `try`.
        task.add_done_callback(lambda done: self._report_end(session, done))
        return session

    def _report_end(self, session: Session, task: asyncio.Task[Failure]) -> None:
        if task.cancelled():
            self._post(SessionEvent(session, SessionEnded(CLOSED_ON_REQUEST)))
        elif task.exception() is None:  # else it is a bug, and the task group raises it
            self._post(SessionEvent(session, SessionEnded(task.result())))
