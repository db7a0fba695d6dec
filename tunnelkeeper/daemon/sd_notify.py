"""Notifies the service manager of readiness, status, reloads and liveness (sd_notify).

systemd.status_text decides when the supervisor is ready and what the status line is. This module
only observes the supervisor.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from tunnelkeeper.control.payloads import Event, RemovedEvent, TunnelEvent
from tunnelkeeper.systemd import notify
from tunnelkeeper.systemd.notify import ping_watchdog
from tunnelkeeper.systemd.status_text import has_been_tried, is_ready, status_line
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.daemon.supervisor import Supervisor
    from tunnelkeeper.systemd.notify import ServiceManager
    from tunnelkeeper.systemd.unit_templates import Ready

STATUS_INTERVAL = 1.0
"""Seconds between two status lines, however many events occur."""

START_EXTENSION = 30.0
"""Seconds by which each EXTEND_TIMEOUT_USEC extends the start. It is sent three times as often."""


class SdNotifier:
    """The notifications about one supervisor. `notifying` runs it."""

    def __init__(
        self,
        supervisor: Supervisor,
        manager: ServiceManager,
        clock: Clock,
        ready_mode: Ready,
        started: list[str],
    ) -> None:
        self._supervisor = supervisor
        self._manager = manager
        self._clock = clock
        self._ready_mode: Ready = ready_mode
        self._started = started
        self._tunnels = {tunnel.name: tunnel for tunnel in supervisor.snapshot(None).tunnels}
        self._attempted: set[str] = set()
        self._status_changed = asyncio.Event()
        self._ready = asyncio.Event()
        self._update_ready()

    def on_event(self, event: Event) -> None:
        """Update the state from a supervisor event."""
        match event:
            case TunnelEvent(tunnel):
                self._tunnels[tunnel.name] = tunnel
                if has_been_tried(tunnel):
                    self._attempted.add(tunnel.name)
            case RemovedEvent(name):
                self._tunnels.pop(name, None)
                self._attempted.discard(name)
            case _:
                return
        self._status_changed.set()
        self._update_ready()

    async def run(self) -> None:
        """Send watchdog pings, status lines and READY=1, until cancelled."""
        async with IsolatedTaskGroup() as tasks:
            tasks.create_task(ping_watchdog(self._manager, self._clock.sleep))
            tasks.create_task(self._send_status())
            extending = tasks.create_task(self._extend_start_timeout())
            await self._ready.wait()
            extending.cancel()
            self._manager.notify("READY=1", f"STATUS={self._status_line()}")
            # Only now, because the READY=1 after a reload would be taken for that of the start.
            self._supervisor.reload_context = self._reloading

    def _update_ready(self) -> None:
        if not self._ready.is_set() and is_ready(
            self._ready_mode, self._started, self._tunnels, self._attempted
        ):
            self._ready.set()

    def _status_line(self) -> str:
        prefix = "" if self._ready.is_set() else "starting: "
        return prefix + status_line(self._tunnels.values())

    async def _send_status(self) -> None:
        while True:
            await self._status_changed.wait()
            self._status_changed.clear()
            self._manager.notify(f"STATUS={self._status_line()}")
            await self._clock.sleep(STATUS_INTERVAL)

    async def _extend_start_timeout(self) -> None:
        """Extend the start timeout of the manager for as long as the event loop runs."""
        while True:
            self._manager.notify(f"EXTEND_TIMEOUT_USEC={START_EXTENSION * 1e6:.0f}")
            await self._clock.sleep(START_EXTENSION / 3)

    @contextmanager
    def _reloading(self) -> Iterator[None]:
        self._manager.notify(*notify.reloading_assignments())
        try:
            yield
        finally:
            self._manager.notify("READY=1")


@asynccontextmanager
async def notifying(
    supervisor: Supervisor, manager: ServiceManager, clock: Clock, ready: Ready, started: list[str]
) -> AsyncIterator[None]:
    """Notify the manager while the body runs, and send STOPPING=1 after it.

    started: The tunnels that were just started. No event may have been processed since.
    """
    if not manager.is_listening:
        yield
        return
    notifier = SdNotifier(supervisor, manager, clock, ready, started)
    unsubscribe = supervisor.subscribe(notifier.on_event)
    async with IsolatedTaskGroup() as tasks:
        task = tasks.create_task(notifier.run())
        try:
            yield
        finally:
            unsubscribe()
            task.cancel()
            manager.notify("STOPPING=1", "STATUS=closing the tunnels")
