"""Detects resumes from suspend and network changes, and reports them to the log and a callback.

core.suspend_detection and core.network_changes decide what counts; daemon.tunnel_registry reacts.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.core.network_changes import (
    Change,
    Network,
    NetworkState,
    compare,
    describe_difference,
)
from tunnelkeeper.core.suspend_detection import CHECK_INTERVAL, ClockReading, detect_resume
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.net.network_source import open_network_source
from tunnelkeeper.presentation.formatting import format_duration

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable

    from tunnelkeeper.clock import Clock, Timer
    from tunnelkeeper.core.suspend_detection import Resume
    from tunnelkeeper.net.network_source import NetworkSource
    from tunnelkeeper.tunnel.event_log import EventLog

RETRY_INTERVAL = 5.0
"""Seconds until the network is read again after this machine was out of descriptors or memory."""

SETTLE_TIME = 0.5
"""Seconds between the first message of a burst and the check of the network. An address, its routes
and the default route arrive within a few milliseconds of each other."""

UNKNOWN_NETWORK = NetworkState(Network(frozenset()))
PROBING_CONNECTIONS = "probing every connection"


@dataclass(slots=True)
class HostMonitor:
    """Watches the clocks and the network of this machine.

    on_network_change is called on every resume and network change with the current addresses, or
    with None if they are unknown. on_network_loss is called when the network is lost, and on each
    change while it is: a host on the same link may be reachable, but connections that wait for the
    network must not be probed.
    """

    clock: Clock
    event_log: EventLog
    on_network_change: Callable[[frozenset[str] | None], None]
    on_network_loss: Callable[[], None]
    source: NetworkSource | None = None
    state: NetworkState = UNKNOWN_NETWORK
    _retry: Timer | None = None

    async def watch_clocks(self) -> None:
        """Report every resume from suspend, until cancelled. Let the log write counts that are due.

        Without that, the count of a flood would wait for the next message.
        """
        before = self._read_clocks()
        while True:
            await self.clock.sleep(CHECK_INTERVAL)
            self.event_log.write_counts()
            now = self._read_clocks()
            resume = detect_resume(before, now)
            before = now
            if resume is not None:
                self._on_resume(_resume_message(resume))

    async def watch_network(self) -> None:
        """Report every network change, while the system provides notifications."""
        try:
            while self.source is not None:
                await self.source.wait_for_change()
                await self.clock.sleep(SETTLE_TIME)
                self._check_network()
        except OSError as error:
            self._stop_watching_network(error)

    def open_source(self) -> None:
        """Open the system's source of network notifications, and read the initial state."""
        try:
            self.source, warning = open_network_source(self.clock)
            self.state = NetworkState(self.source.read())
        except OSError as error:
            self._stop_watching_network(error)
        else:
            if warning:
                self.event_log.write("warning", "", warning)

    def close_source(self) -> None:
        """Close the source of network notifications."""
        self._cancel_retry()
        if self.source is not None:
            self.source.close()
            self.source = None

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _read_clocks(self) -> ClockReading:
        return ClockReading(self.clock.monotonic(), self.clock.boottime())

    def _on_resume(self, message: str) -> None:
        self._check_network()  # messages about the network may not have been read yet
        if self.state.is_lost:
            # Without a network no server can answer, and its connection would be taken for dead.
            self.event_log.write("info", "", f"{message}; the network is not back yet")
            return
        self.event_log.write("info", "", f"{message}: {PROBING_CONNECTIONS}")
        self.on_network_change(None)

    def _check_network(self) -> None:
        """Read the network and report a change. Try again later without resources to read it."""
        self._cancel_retry()
        if self.source is None:
            return
        try:
            network = self.source.read()
        except OSError as error:
            if error.errno in EXHAUSTION_ERRNOS:
                retry_at = self.clock.monotonic() + RETRY_INTERVAL
                self._retry = self.clock.call_at(retry_at, self._check_network)
            else:
                self._stop_watching_network(error)
            return
        before = self.state
        self.state, change = compare(before, network)
        difference = describe_difference(before.last_good, network)
        match change:
            case Change.LOST:
                self.event_log.write("warning", "", f"the network is gone: {difference}")
                self.on_network_loss()
            case Change.CHANGED_WHILE_LOST:
                difference = describe_difference(before.current, network)
                message = f"the network changed: {difference}; it is not back yet"
                self.event_log.write("info", "", message)
                self.on_network_loss()
            case Change.CHANGED:
                self._report_network_change(f"the network changed: {difference}", network)
            case Change.BACK:
                self._report_network_change(
                    f"the network is back: {difference or 'as it was'}", network
                )

    def _report_network_change(self, message: str, network: Network) -> None:
        self.event_log.write("info", "", f"{message}; {PROBING_CONNECTIONS}")
        self.on_network_change(network.all_addresses)

    def _stop_watching_network(self, error: OSError) -> None:
        self.close_source()
        self.event_log.write(
            "warning",
            "",
            f"network changes cannot be monitored ({os_error_text(error)}); "
            "unanswered keepalives detect them later",
        )


def _resume_message(resume: Resume) -> str:
    if resume.suspended:
        return f"woke after {format_duration(resume.suspended)}"
    return f"this process was stopped for {format_duration(resume.stopped)}"


@asynccontextmanager
async def monitoring(monitor: HostMonitor, tasks: asyncio.TaskGroup) -> AsyncIterator[None]:
    """Report resumes and network changes while the body runs."""
    monitor.open_source()
    watch_tasks = [
        tasks.create_task(monitor.watch_clocks(), name="clocks"),
        tasks.create_task(monitor.watch_network(), name="network"),
    ]
    try:
        yield
    finally:
        for watch in watch_tasks:
            watch.cancel()
        monitor.close_source()
