"""Looks out for wakes and for changes of the network, and says so: to the log and to the keeper.

What counts as one is decided in core.waking and core.networks; what to do about it, by the keeper.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.networks import Network, Standing, Turn, difference, observe
from tunnelkeeper.core.waking import LOOK_EVERY, Look, wake_between
from tunnelkeeper.daemon.netwatch import network_source
from tunnelkeeper.wording.amounts import duration

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable

    from tunnelkeeper.core.waking import Wake
    from tunnelkeeper.daemon.clock import Clock
    from tunnelkeeper.daemon.journal import Journal
    from tunnelkeeper.daemon.netwatch import NetworkSource

SETTLES_IN = 0.5
"""Seconds from the first message of a burst to the look: an address, its routes and the default
route come within a few milliseconds of each other."""

UNKNOWN = Standing(Network(frozenset()))
ASKING = "asking every connection whether it still lives"


@dataclass(slots=True)
class Vigil:
    """on_move is told of each wake and change: the addresses there are, None if unknown."""

    clock: Clock
    journal: Journal
    on_move: Callable[[frozenset[str] | None], None]
    source: NetworkSource | None = None
    standing: Standing = UNKNOWN

    async def watch_clocks(self) -> None:
        """Notice wakes, for ever."""
        before = self._look()
        while True:
            await self.clock.sleep(LOOK_EVERY)
            now = self._look()
            wake = wake_between(before, now)
            before = now
            if wake is not None:
                self._woke(_words(wake))

    async def watch_network(self) -> None:
        """Notice changes of the network, as long as the system tells of them."""
        try:
            while self.source is not None:
                await self.source.change()
                await self.clock.sleep(SETTLES_IN)
                self._observe()
        except OSError as error:
            self._cannot_watch(error)

    def open_source(self) -> None:
        """Find what tells of the network here, if anything does, and have a first look."""
        try:
            self.source, lacking = network_source(self.clock)
            self.standing = Standing(self.source.look())
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

    def _look(self) -> Look:
        return Look(self.clock.monotonic(), self.clock.boottime())

    def _woke(self, words: str) -> None:
        self._observe()  # its messages may still wait to be read
        if self.standing.is_lost:
            # Whoever is asked now cannot answer, and would be held dead for it.
            self.journal.write("info", "", f"{words}; the network is not back yet")
            return
        self.journal.write("info", "", f"{words}: {ASKING}")
        self.on_move(None)

    def _observe(self) -> None:
        """Look at the network, and say what became of it."""
        if self.source is None:
            return
        try:
            network = self.source.look()
        except OSError as error:
            self._cannot_watch(error)
            return
        what = difference(self.standing.known, network)
        self.standing, turn = observe(self.standing, network)
        match turn:
            case Turn.LOST:
                self.journal.write("warning", "", f"the network is gone: {what}")
            case Turn.CHANGED:
                self._moved(f"the network changed: {what}", network)
            case Turn.BACK:
                self._moved(f"the network is back: {what or 'as it was'}", network)

    def _moved(self, words: str, network: Network) -> None:
        self.journal.write("info", "", f"{words}; {ASKING}")
        self.on_move(network.present)

    def _cannot_watch(self, error: OSError) -> None:
        self.close_source()
        self.journal.write(
            "warning",
            "",
            f"changes of the network cannot be watched here ({error.strerror or error}); "
            "unanswered keepalives tell of them, later",
        )


def _words(wake: Wake) -> str:
    if wake.asleep:
        return f"woke after {duration(wake.asleep)}"
    return f"this process was stopped for {duration(wake.stopped)}"


@asynccontextmanager
async def keeping_vigil(vigil: Vigil, tasks: asyncio.TaskGroup) -> AsyncIterator[None]:
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
