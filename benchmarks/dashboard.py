"""The cost of the dashboard with many tunnels: the response time of a key, and the idle CPU use.

    python -m benchmarks.dashboard [TUNNELS]

The real program runs on a pseudo-terminal of 120x35. A fake supervisor in this process serves the
real control socket. All tunnels are up, and the round-trip time of each changes every 15 seconds,
as with keepalives. A response is complete when the last byte of the screen has arrived.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.statistics import median
from tunnelkeeper.control.api import RequestFailedError
from tunnelkeeper.control.payloads import (
    CountersEvent,
    ForwardCounters,
    Locked,
    TunnelCounters,
    Unlocking,
)
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.core.snapshot import (
    ForwardSnapshot,
    HopSnapshot,
    StatusSnapshot,
    SupervisorSnapshot,
    TunnelSnapshot,
)
from tunnelkeeper.questions.board import QuestionBoard
from tunnelkeeper.tunnel.snapshots import question_snapshot

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tunnelkeeper.control.api import Listener
    from tunnelkeeper.control.payloads import Opened, OpenParams
    from tunnelkeeper.core.questions import Question
    from tunnelkeeper.core.snapshot import LogRecord, QuestionSnapshot

ROWS, COLUMNS = 35, 120
KEYS = b"jjjjjGgkk?\x0c" * 4
SETTLED = 0.03
"""Seconds without output after which a screen is complete."""

IDLE = 30.0
KEEPALIVE = 15


class FakeSupervisor:
    """A fake supervisor with a number of tunnels, all up and without traffic."""

    def __init__(self, tunnels: int) -> None:
        since = (datetime.now(UTC) - timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._process = SupervisorSnapshot("0", os.getpid(), "/tunnels.toml", since, 0, 0.0, 9)
        self._tunnels = [_tunnel(number, since) for number in range(tunnels)]
        self._beats = 0
        self.questions = QuestionBoard()

    def question_snapshots(self) -> list[QuestionSnapshot]:
        """Return none."""
        return []

    def question_snapshot(self, question: Question) -> QuestionSnapshot:
        """Return the snapshot of a question."""
        return question_snapshot(question, self.questions.now())

    async def status(self, names: list[str] | None) -> StatusSnapshot:
        """Return the status of all tunnels."""
        return StatusSnapshot(self._process, self._tunnels)

    def logs(self, name: str | None, lines: int) -> list[LogRecord]:
        """Return no records."""
        return []

    def subscribe(self, listener: Listener, counters_every: float | None) -> Callable[[], None]:
        """Send counters as a supervisor does."""
        loop = asyncio.get_running_loop()
        every = counters_every or 1.0
        timers: list[asyncio.TimerHandle] = []

        def beat() -> None:
            timers[:] = [loop.call_later(every, beat)]
            self._beats += 1
            changed = self._tunnels[self._beats % KEEPALIVE :: KEEPALIVE]
            rtt = 1.0 + self._beats % 7
            counters = ForwardCounters(0, 0, 0, 0)
            changes = [TunnelCounters(tunnel.name, [rtt], [counters]) for tunnel in changed]
            listener(CountersEvent(self._process, changes))

        timers.append(loop.call_later(every, beat))

        def unsubscribe() -> None:
            timers[0].cancel()

        return unsubscribe

    async def start(self, names: list[str], group: str | None) -> list[str]:
        """Refuse."""
        raise RequestFailedError("a fake supervisor")

    async def stop(self, names: list[str], group: str | None) -> list[str]:
        """Refuse."""
        raise RequestFailedError("a fake supervisor")

    async def restart(
        self, names: list[str], group: str | None, *, graceful: bool = False
    ) -> list[str]:
        """Refuse."""
        raise RequestFailedError("a fake supervisor")

    async def reload(self) -> list[str]:
        """Refuse."""
        raise RequestFailedError("a fake supervisor")

    async def open(self, params: OpenParams) -> tuple[Opened, Callable[[], None]]:
        """Refuse."""
        raise RequestFailedError("a fake supervisor")

    def table(self, name: str) -> dict[str, object]:
        """Refuse."""
        raise RequestFailedError("a fake supervisor")

    async def unlock(self, key: str | None, names: list[str], seconds: float | None) -> Unlocking:
        """Return none."""
        return Unlocking([])

    def lock(self) -> Locked:
        """Return none."""
        return Locked(0, 0)

    def shutdown(self) -> None:
        """Do nothing."""

    async def connect(
        self, name: str, target: str, sock: socket.socket, early: bytes, confirm: Callable[[], None]
    ) -> None:
        """Refuse."""
        raise RequestFailedError("a fake supervisor")


class Terminal:
    """The program on a pseudo-terminal."""

    def __init__(self, socket: Path) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        command = [sys.executable, "-m", "tunnelkeeper", "--socket", str(socket), "dashboard"]
        settings = os.environ | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self.program = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, env=settings, start_new_session=True
        )
        os.close(theirs)

    def read(self, quiet: float) -> tuple[bytes, float]:
        """Read until nothing arrives for `quiet` seconds; return the data and its last time."""
        output, last = b"", time.monotonic()
        with suppress(OSError):  # EIO: the program has exited
            while select.select([self._ours], [], [], quiet)[0]:
                output += os.read(self._ours, 1 << 16)
                last = time.monotonic()
        return output, last

    def press(self, key: int) -> float:
        """Press a key; return the seconds until the response is complete."""
        began = time.monotonic()
        os.write(self._ours, bytes([key]))
        return self.read(SETTLED)[1] - began

    def close(self) -> None:
        """End the program."""
        self.program.terminate()
        while self.program.poll() is None:
            self.read(0.1)
        os.close(self._ours)


def main(tunnels: int) -> None:
    """Measure, and print one line for each figure."""
    with tempfile.TemporaryDirectory(prefix="tk") as folder:
        socket = Path(folder) / "control.sock"
        with _serving(socket, FakeSupervisor(tunnels)):
            terminal = Terminal(socket)
            try:
                _until_shown(terminal, b"t0")
                times = sorted(terminal.press(key) for key in KEYS)
                sys.stdout.write(f"{tunnels} tunnels, {COLUMNS}x{ROWS}" + "\n")
                sys.stdout.write(
                    f"a key answered in full: {_ms(median(times))}, at most {_ms(times[-1])}" + "\n"
                )
                sys.stdout.write(f"idle: {_idle(terminal) * 100:.2f} % of a core" + "\n")
                memory = psutil.Process(terminal.program.pid).memory_info().rss
                sys.stdout.write(f"memory: {memory / 1e6:.0f} MB" + "\n")
            finally:
                terminal.close()


def tell(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


def _idle(terminal: Terminal) -> float:
    process = psutil.Process(terminal.program.pid)
    before, began = process.cpu_times(), time.monotonic()
    while time.monotonic() < began + IDLE:
        terminal.read(0.5)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return used / (time.monotonic() - began)


def _until_shown(terminal: Terminal, text: bytes) -> None:
    output = b""
    while text not in output:
        output += terminal.read(0.1)[0]
        if terminal.program.poll() is not None:
            sys.exit(output.decode(errors="replace"))
    terminal.read(0.3)


@contextmanager
def _serving(path: Path, supervisor: FakeSupervisor) -> Iterator[None]:
    started, ended = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with asyncio.TaskGroup() as tasks, ControlServer(path, supervisor).serving(tasks):
            started.set()
            await ended.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()


def _tunnel(number: int, since: str) -> TunnelSnapshot:
    forward = ForwardSnapshot(
        "local", f"127.0.0.1:{10_000 + number}", "db.internal:80", "listening"
    )
    return TunnelSnapshot(
        name=f"t{number}",
        state="up",
        wanted=True,
        since=since,
        host=f"tunnel@host{number}.example.com:22",
        jump=[],
        groups=[],
        attempt=0,
        retry_at=None,
        restarts=0,
        rtt_ms=1.0,
        cipher="aes128-gcm@openssh.com",
        bytes_in=0,
        bytes_out=0,
        connections=0,
        connections_total=0,
        failure=None,
        forwards=[forward],
        hops=[HopSnapshot(f"tunnel@host{number}.example.com:22", connected=True, rtt_ms=1.0)],
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
