"""Tells the service manager what is so: ready, the line of status, reloads, and a heart that beats.

What the line says and when all is ready is decided in systemd.picture; nothing is changed here.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from tunnelkeeper.control.payloads import Event, RemovedEvent, TunnelEvent
from tunnelkeeper.daemon.nursery import Nursery
from tunnelkeeper.systemd import service_manager
from tunnelkeeper.systemd.heartbeat import beat
from tunnelkeeper.systemd.picture import is_ready, status_line, was_tried

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tunnelkeeper.daemon.clock import Clock
    from tunnelkeeper.daemon.supervisor import Supervisor
    from tunnelkeeper.systemd.service_manager import Manager
    from tunnelkeeper.systemd.units import Ready

STATUS_INTERVAL = 1.0
"""Seconds between two lines of status, however much happens."""

START_EXTENSION = 30.0
"""Seconds that a start may go on after each time that we say it does; said three times as often."""


class Report:
    """What the manager is told of one supervisor; see `reporting`."""

    def __init__(
        self,
        supervisor: Supervisor,
        manager: Manager,
        clock: Clock,
        ready: Ready,
        started: list[str],
    ) -> None:
        self._supervisor = supervisor
        self._manager = manager
        self._clock = clock
        self._asked_for: Ready = ready
        self._started = started
        self._tunnels = {tunnel.name: tunnel for tunnel in supervisor.status(None).tunnels}
        self._tried: set[str] = set()
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._look()

    def hear(self, event: Event) -> None:
        """Take in what has changed."""
        match event:
            case TunnelEvent(tunnel):
                self._tunnels[tunnel.name] = tunnel
                if was_tried(tunnel):
                    self._tried.add(tunnel.name)
            case RemovedEvent(name):
                self._tunnels.pop(name, None)
                self._tried.discard(name)
            case _:
                return
        self._news.set()
        self._look()

    async def tell(self) -> None:
        """Tell the manager all that is worth it, until cancelled."""
        async with Nursery() as tasks:
            tasks.create_task(beat(self._manager, self._clock.sleep))
            tasks.create_task(self._tell_news())
            waiting = tasks.create_task(self._ask_for_time())
            await self._ready.wait()
            waiting.cancel()
            self._manager.tell("READY=1", f"STATUS={self._line()}")
            # Not before: a READY=1 after a reload would be taken for that of the start.
            self._supervisor.around_reload = self._reloading

    def _look(self) -> None:
        if not self._ready.is_set() and is_ready(
            self._asked_for, self._started, self._tunnels, self._tried
        ):
            self._ready.set()

    def _line(self) -> str:
        stage = "" if self._ready.is_set() else "starting: "
        return stage + status_line(self._tunnels.values())

    async def _tell_news(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            self._manager.tell(f"STATUS={self._line()}")
            await self._clock.sleep(STATUS_INTERVAL)

    async def _ask_for_time(self) -> None:
        """Let the manager wait for a start that takes long, as long as the loop turns."""
        while True:
            self._manager.tell(f"EXTEND_TIMEOUT_USEC={START_EXTENSION * 1e6:.0f}")
            await self._clock.sleep(START_EXTENSION / 3)

    @contextmanager
    def _reloading(self) -> Iterator[None]:
        self._manager.tell(*service_manager.reloading())
        try:
            yield
        finally:
            self._manager.tell("READY=1")


@asynccontextmanager
async def reporting(
    supervisor: Supervisor, manager: Manager, clock: Clock, ready: Ready, started: list[str]
) -> AsyncIterator[None]:
    """Let the manager know while the body runs, and after it that the end comes.

    started: the tunnels that were just asked to start; nothing may have happened since.
    """
    if not manager.listens:
        yield
        return
    report = Report(supervisor, manager, clock, ready, started)
    unsubscribe = supervisor.subscribe(report.hear)
    async with Nursery() as tasks:
        telling = tasks.create_task(report.tell())
        try:
            yield
        finally:
            unsubscribe()
            telling.cancel()
            manager.tell("STOPPING=1", "STATUS=closing the tunnels")
