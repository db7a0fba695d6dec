"""Looks out for wakes and for changes of the network, and says so: to the log and to the keeper.

core.suspend_detection and core.network_changes decide what counts as one; the tunnel registry acts.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.network_changes import (
    Change,
    Network,
    NetworkState,
    compare,
    describe_difference,
)
from tunnelkeeper.core.suspend_detection import CHECK_INTERVAL, ClockReading, detect_resume
from tunnelkeeper.net.network_source import open_network_source
from tunnelkeeper.presentation.formatting import duration

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.core.suspend_detection import Resume
    from tunnelkeeper.net.network_source import NetworkSource
    from tunnelkeeper.tunnel.event_log import EventLog

SETTLES_IN = 0.5
"""Seconds from the first message of a burst to the look: an address, its routes and the default
route come within a few milliseconds of each other."""

UNKNOWN = NetworkState(Network(frozenset()))
ASKING = "asking every connection whether it still lives"


@dataclass(slots=True)
class HostMonitor:
    """on_move is told of each wake and change: the addresses there are, None if unknown."""

    clock: Clock
    journal: EventLog
    on_network_change: Callable[[frozenset[str] | None], None]
    source: NetworkSource | None = None
    state: NetworkState = UNKNOWN

    async def watch_clocks(self) -> None:
        """Notice wakes, for ever."""
        before = self._look()
        while True:
            await self.clock.sleep(CHECK_INTERVAL)
            now = self._look()
            wake = detect_resume(before, now)
            before = now
            if wake is not None:
                self._woke(_words(wake))

    async def watch_network(self) -> None:
        """Notice changes of the network, as long as the system tells of them."""
        try:
            while self.source is not None:
                await self.source.wait_for_change()
                await self.clock.sleep(SETTLES_IN)
                self._observe()
        except OSError as error:
            self._cannot_watch(error)

    def open_source(self) -> None:
        """Find what tells of the network here, if anything does, and have a first look."""
        try:
            self.source, lacking = open_network_source(self.clock)
            self.state = NetworkState(self.source.read())
        except OSError as error:
            self._cannot_watch(error)
        else:
            if lacking:
                self.journal.write("warning", "", lacking)

    def close_source(self) -> None:
        """Ask the system no more."""
        if self.source is not None:
            self.source.close()
            self.source = None

    def _look(self) -> ClockReading:
        return ClockReading(self.clock.monotonic(), self.clock.boottime())

    def _woke(self, words: str) -> None:
        self._observe()  # its messages may still wait to be read
        if self.state.is_lost:
            # Whoever is asked now cannot answer, and would be held dead for it.
            self.journal.write("info", "", f"{words}; the network is not back yet")
            return
        self.journal.write("info", "", f"{words}: {ASKING}")
        self.on_network_change(None)

    def _observe(self) -> None:
        """Look at the network, and say what became of it."""
        if self.source is None:
            return
        try:
            network = self.source.read()
        except OSError as error:
            self._cannot_watch(error)
            return
        what = describe_difference(self.state.last_good, network)
        self.state, turn = compare(self.state, network)
        match turn:
            case Change.LOST:
                self.journal.write("warning", "", f"the network is gone: {what}")
            case Change.CHANGED:
                self._moved(f"the network changed: {what}", network)
            case Change.BACK:
                self._moved(f"the network is back: {what or 'as it was'}", network)

    def _moved(self, words: str, network: Network) -> None:
        self.journal.write("info", "", f"{words}; {ASKING}")
        self.on_network_change(network.present)

    def _cannot_watch(self, error: OSError) -> None:
        self.close_source()
        self.journal.write(
            "warning",
            "",
            f"changes of the network cannot be watched here ({error.strerror or error}); "
            "unanswered keepalives tell of them, later",
        )


def _words(wake: Resume) -> str:
    if wake.asleep:
        return f"woke after {duration(wake.asleep)}"
    return f"this process was stopped for {duration(wake.stopped)}"


@asynccontextmanager
async def monitoring(vigil: HostMonitor, tasks: asyncio.TaskGroup) -> AsyncIterator[None]:
    """While the body runs, wakes and changes are told."""
    vigil.open_source()
    watches = [
        tasks.create_task(vigil.watch_clocks(), name="clocks"),
        tasks.create_task(vigil.watch_network(), name="network"),
    ]
    try:
        yield
    finally:
        for watch in watches:
            watch.cancel()
        vigil.close_source()
