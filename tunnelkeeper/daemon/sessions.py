"""The sessions of a tunnel: opens and closes them, and reports what becomes of them as events.

It decides nothing; the runner does as the lifecycle says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.lifecycle import Ended, Opened
from tunnelkeeper.daemon.report import SessionReport
from tunnelkeeper.daemon.session import Session

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tunnelkeeper.core.lifecycle import Event
    from tunnelkeeper.core.tunnels import Tunnel
    from tunnelkeeper.daemon.forward_set import ForwardSet
    from tunnelkeeper.daemon.services import Services

CLOSED_ON_REQUEST = Failure(Cause.LOST, "closed on request")


class Sessions:
    """The session that a tunnel has, or the last one that it had."""

    def __init__(
        self, services: Services, forwards: ForwardSet, post: Callable[[Event], None]
    ) -> None:
        self.current: Session | None = None
        self._services = services
        self._forwards = forwards
        self._post = post
        self._task: asyncio.Task[Failure] | None = None

    def open(self, tunnel: Tunnel, tasks: asyncio.TaskGroup) -> None:
        """Start a session; it posts Opened, if it comes so far, and in any case Ended."""
        session = Session(
            tunnel,
            self._services.finder,
            self._services.jumps,
            self._forwards.gate,
            SessionReport(tunnel.name, self._services),
            lambda: self._forwards.remotes,
            lambda: self._opened(tunnel),
        )
        self.current = session
        self._task = tasks.create_task(session.run())
        # Not a `finally`: a task that is cancelled before its first step never enters its `try`.
        self._task.add_done_callback(self._report_end)

    def close(self) -> None:
        """End the session; Ended is posted when it is over."""
        if self._task is not None:
            self._task.cancel()

    def _opened(self, tunnel: Tunnel) -> Failure | None:
        refused = self._forwards.first_refusal
        if refused is not None and tunnel.exit_on_forward_failure:
            return refused
        self._forwards.check()
        self._post(Opened(self._forwards.first_failure))
        return None

    def _report_end(self, task: asyncio.Task[Failure]) -> None:
        self._task = None
        if task.cancelled():
            self._post(Ended(CLOSED_ON_REQUEST))
        elif task.exception() is None:  # else it is a bug, and the task group raises it
            self._post(Ended(task.result()))
