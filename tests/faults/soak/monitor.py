"""Observes tunnels while faults come and go: a thread for each endpoint, and one for status."""

from __future__ import annotations

import time
from contextlib import suppress
from random import Random
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Self

from tests.faults.soak.endpoints import AlteredError, ping
from tests.faults.soak.judge import Judge
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.client_errors import NoSupervisorError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from tests.faults.soak.endpoints import Endpoint
    from tests.faults.soak.event_record import EventRecord
    from tests.faults.soak.judge import Bounds, Exemption
    from tunnelkeeper.core.snapshot import StatusSnapshot

CLIENT_TIMEOUT = 5.0
"""Seconds that a client waits for an answer before it closes its connection: enough on a loaded
machine. BOUNDS (run.py) allows a tunnel without data for as long."""

PING_INTERVAL = 0.5
"""Seconds between two pings of an endpoint."""

POLL_INTERVAL = 0.25
"""Seconds between two requests for the status."""

PINGS_PER_CONNECTION = 10
"""Pings on one connection before a new one is made."""

SIZES = (1, 1000, 32_000)
"""Bytes of a ping: each fits into the buffers on the path, so it can be sent before any echo."""


class ViolationError(Exception):
    """Raised when an invariant of the run does not hold."""


class Monitor:
    """Observes tunnels until it is closed. seed: of the data sent.

    pings: the number of echoed pings. bytes: both ways together. status_reads: the number of
    answers to status requests.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        socket_path: Path,
        record: EventRecord,
        bounds: Bounds,
        seed: int,
    ) -> None:
        self.pings = self.bytes = self.status_reads = 0
        tunnels = {endpoint.name: endpoint.tunnel for endpoint in endpoints}
        self.judge = Judge(tunnels, bounds, time.monotonic())
        self._path = socket_path
        self._record = record
        self._lock = Lock()
        self._stopping, self._pinging = Event(), Event()
        self._open_connections = 0
        self._last_texts: dict[str, str] = {}
        self._errors: list[str] = []
        self._threads = [Thread(target=self._run_guarded, args=(self._poll_status,))]
        for endpoint in endpoints:
            arguments = (self._ping_repeatedly, endpoint, Random(f"{seed}:{endpoint.name}"))
            self._threads.append(Thread(target=self._run_guarded, args=arguments))

    def __enter__(self) -> Self:
        self._pinging.set()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._pinging.set()
        for thread in self._threads:
            thread.join()

    def begin(self, exemption: Exemption | None = None) -> float:
        """Reset the judge with this exemption; return the time."""
        with self._lock:
            now = time.monotonic()
            self.judge.reset(now, exemption)
            return now

    def wait(self, seconds: float) -> None:
        """Wait this many seconds and check meanwhile. Raises ViolationError."""
        self.wait_until(lambda: False, seconds)

    def wait_until(self, condition: Callable[[], bool], within: float) -> bool:
        """Wait for a condition and check meanwhile; return whether it came true in time.

        Raises ViolationError.
        """
        deadline = time.monotonic() + within
        while not condition():
            self._check()
            if time.monotonic() > deadline or self._stopping.wait(POLL_INTERVAL):
                return False
        return True

    def wait_until_working(self, endpoint: str, since: float, within: float) -> bool:
        """Wait until an endpoint has carried data since a time and its tunnel is reported up."""

        def is_working() -> bool:
            with self._lock:
                return self.judge.is_working(endpoint, since)

        return self.wait_until(is_working, within)

    def pause(self) -> None:
        """Stop sending pings; return when all their connections are closed."""
        self._pinging.clear()
        while self._open_connections:
            self._stopping.wait(POLL_INTERVAL)

    def resume(self) -> None:
        """Send pings again."""
        self._pinging.set()
        self.begin()

    def _check(self) -> None:
        with self._lock:
            violation = self._errors[0] if self._errors else ""
            if not violation and self._pinging.is_set():
                violation = self.judge.violation(time.monotonic())
        if violation:
            raise ViolationError(violation)

    def _run_guarded(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except Exception as error:  # noqa: BLE001  the run reports the thread's error
            with self._lock:
                self._errors.append(f"{type(error).__name__}: {error}")

    # -- endpoints ---------------------------------------------------------------------------------

    def _ping_repeatedly(self, endpoint: Endpoint, rng: Random) -> None:
        was_working = True
        while not self._stopping.is_set():
            self._pinging.wait()
            with self._lock:
                self._open_connections += 1
            try:
                with endpoint.open(CLIENT_TIMEOUT) as connection:
                    for _ in range(PINGS_PER_CONNECTION):
                        self._ping(endpoint, connection, rng.randbytes(rng.choice(SIZES)))
                        if not was_working:
                            self._record.add(f"{endpoint.name} carries data again")
                        was_working = True
                        if self._stopping.wait(PING_INTERVAL) or not self._pinging.is_set():
                            break
            except OSError as error:
                if was_working:
                    self._record.add(f"{endpoint.name} carries no data: {error}")
                was_working = False
                self._stopping.wait(PING_INTERVAL)
            finally:
                with self._lock:
                    self._open_connections -= 1

    def _ping(self, endpoint: Endpoint, connection: socket.socket, data: bytes) -> None:
        try:
            ping(connection, data)
        except AlteredError as altered:
            raise ViolationError(f"{endpoint.name}: {altered}") from altered
        with self._lock:
            self.judge.record_data(endpoint.name, time.monotonic())
            self.pings += 1
            self.bytes += 2 * len(data)

    # -- the control socket ------------------------------------------------------------------------

    def _poll_status(self) -> None:
        # Keep one connection: a supervisor without descriptors cannot accept another.
        while not self._stopping.is_set():
            with suppress(NoSupervisorError, TimeoutError, OSError), Client(self._path) as client:
                while not self._stopping.wait(POLL_INTERVAL):
                    asked = time.monotonic()
                    self._record_status(client.status(), asked)
            self._stopping.wait(POLL_INTERVAL)

    def _record_status(self, status: StatusSnapshot, asked: float) -> None:
        with self._lock:
            now = time.monotonic()
            self.judge.record_answer(asked, now)
            self.status_reads += 1
            for tunnel in status.tunnels:
                connection = tunnel.since, tunnel.restarts
                self.judge.record_status(tunnel.name, tunnel.state, connection, now)
        for tunnel in status.tunnels:
            failure = tunnel.failure
            text = f"{tunnel.name} is {tunnel.state}"
            if failure is not None:
                text += f" ({failure.cause}: {failure.message})"
            if self._last_texts.get(tunnel.name) != text:
                self._last_texts[tunnel.name] = text
                self._record.add(text)
