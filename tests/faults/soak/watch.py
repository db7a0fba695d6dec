"""Looks at everything while faults come and go: a thread for each entry, and one for status."""

from __future__ import annotations

import time
from contextlib import suppress
from random import Random
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Self

from tests.faults.soak.entries import Altered, ping
from tests.faults.soak.judge import Judge
from tunnelkeeper.control.client import Client, NoSupervisorError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from tests.faults.soak.chronicle import Chronicle
    from tests.faults.soak.entries import Entry
    from tests.faults.soak.judge import Bounds, Excuse
    from tunnelkeeper.core.snapshot import StatusSnapshot

PATIENCE = 5.0
"""Seconds that a client waits for an answer before it gives its connection up: plenty on a loaded
machine, and no more, since BOUNDS (run.py) allows a tunnel to be silent for as long."""

PAUSE = 0.5
"""Seconds between two pings of an entry."""

LOOK = 0.25
"""Seconds between two looks at status."""

PINGS = 10
"""Pings on one connection; the next comes on a new one."""

SIZES = (1, 1000, 32_000)
"""Bytes of a ping: all fit into the buffers on the way, so they can be sent before any return."""


class Violation(Exception):
    """Something must not be and is."""


class Watch:
    """Watches until it is closed. seed: of what is sent.

    pings, bytes, looks: how many came back, both ways together, and how often status was seen.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        socket_path: Path,
        chronicle: Chronicle,
        bounds: Bounds,
        seed: int,
    ) -> None:
        self.pings = self.bytes = self.looks = 0
        self.judge = Judge({each.name: each.tunnel for each in entries}, bounds, time.monotonic())
        self._entries = entries
        self._path = socket_path
        self._chronicle = chronicle
        self._lock = Lock()
        self._ending, self._beating = Event(), Event()
        self._open_lines = 0
        self._said: dict[str, str] = {}
        self._broken: list[str] = []
        self._threads = [Thread(target=self._guarded, args=(self._look,))]
        for entry in entries:
            beat = (self._beat, entry, Random(f"{seed}:{entry.name}"))
            self._threads.append(Thread(target=self._guarded, args=beat))

    def __enter__(self) -> Self:
        self._beating.set()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._beating.set()
        for thread in self._threads:
            thread.join()

    def begin(self, excuse: Excuse | None = None) -> float:
        """From now on, all must be well but for the excuse; returns the time."""
        with self._lock:
            now = time.monotonic()
            self.judge.begin(now, excuse)
            return now

    def wait(self, seconds: float) -> None:
        """Let time pass, and insist meanwhile. Raises Violation."""
        self.wait_until(lambda: False, seconds)

    def wait_until(self, so: Callable[[], bool], within: float) -> bool:
        """Let time pass until it is so, and insist meanwhile; whether it came to be so.

        Raises Violation.
        """
        deadline = time.monotonic() + within
        while not so():
            self._insist()
            if time.monotonic() > deadline or self._ending.wait(LOOK):
                return False
        return True

    def wait_until_well(self, entry: str, since: float, within: float) -> bool:
        """Check the same for an entry that carries data after a time, with its tunnel up."""

        def is_well() -> bool:
            with self._lock:
                return self.judge.is_well(entry, since)

        return self.wait_until(is_well, within)

    def rest(self) -> None:
        """Send nothing from now on, and hold no connection; return when it is so."""
        self._beating.clear()
        while self._open_lines:
            self._ending.wait(LOOK)

    def go_on(self) -> None:
        """Send again."""
        self._beating.set()
        self.begin()

    def _insist(self) -> None:
        with self._lock:
            complaint = self._broken[0] if self._broken else ""
            if not complaint and self._beating.is_set():
                complaint = self.judge.complaint(time.monotonic())
        if complaint:
            raise Violation(complaint)

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except Exception as error:  # noqa: BLE001  the run reports the thread's error
            with self._lock:
                self._broken.append(f"{type(error).__name__}: {error}")

    # -- the entries -------------------------------------------------------------------------------

    def _beat(self, entry: Entry, chance: Random) -> None:
        was_well = True
        while not self._ending.is_set():
            self._beating.wait()
            with self._lock:
                self._open_lines += 1
            try:
                with entry.open(PATIENCE) as line:
                    for _ in range(PINGS):
                        self._ping(entry, line, chance.randbytes(chance.choice(SIZES)))
                        if not was_well:
                            self._chronicle.note(f"{entry.name} carries data again")
                        was_well = True
                        if self._ending.wait(PAUSE) or not self._beating.is_set():
                            break
            except OSError as error:
                if was_well:
                    self._chronicle.note(f"{entry.name} carries nothing: {error}")
                was_well = False
                self._ending.wait(PAUSE)
            finally:
                with self._lock:
                    self._open_lines -= 1

    def _ping(self, entry: Entry, line: socket.socket, data: bytes) -> None:
        try:
            ping(line, data)
        except Altered as altered:
            raise Violation(f"{entry.name}: {altered}") from altered
        with self._lock:
            self.judge.carried(entry.name, time.monotonic())
            self.pings += 1
            self.bytes += 2 * len(data)

    # -- the control socket ------------------------------------------------------------------------

    def _look(self) -> None:
        # One connection for long: a supervisor without descriptors cannot take another.
        while not self._ending.is_set():
            with suppress(NoSupervisorError, TimeoutError, OSError), Client(self._path) as client:
                while not self._ending.wait(LOOK):
                    asked = time.monotonic()
                    self._take(client.status(), asked)
            self._ending.wait(LOOK)

    def _take(self, status: StatusSnapshot, asked: float) -> None:
        with self._lock:
            now = time.monotonic()
            self.judge.answered(asked, now)
            self.looks += 1
            for tunnel in status.tunnels:
                life = tunnel.since, tunnel.restarts
                self.judge.record_status(tunnel.name, tunnel.state, life, now)
        for tunnel in status.tunnels:
            failure = tunnel.failure
            words = f"{tunnel.name} is {tunnel.state}"
            if failure is not None:
                words += f" ({failure.cause}: {failure.message})"
            if self._said.get(tunnel.name) != words:
                self._said[tunnel.name] = words
                self._chronicle.note(words)
