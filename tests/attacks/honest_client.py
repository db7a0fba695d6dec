"""An honest client of the relay: the real ssh, in processes of their own.

The attack runs in the process of the test, so nothing here waits for its event loop.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.attacks.victim import answers
from tests.e2e.ports import free_port
from tests.e2e.program import SOURCE
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from tests.attacks.victim import Victim

LOGIN_PATIENCE = 120.0
"""Seconds for a login: four times the relay's default login_grace, for slow machines."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The round trips of one phase, in seconds. count: the number of them."""

    count: int
    median: float
    p99: float

    @classmethod
    def of(cls, round_trips: list[float]) -> Figures:
        """Return the figures of at least one round trip."""
        ordered = sorted(round_trips)
        return cls(len(ordered), statistics.median(ordered), ordered[len(ordered) * 99 // 100])


class HonestClient:
    """A tunnel of ssh to the victim's echo service, which a worker measures all the time."""

    def __init__(self, victim: Victim) -> None:
        self._victim = victim
        self._port = free_port()
        forward = f"127.0.0.1:{self._port}:127.0.0.1:{victim.echo_port}"
        self._ssh = subprocess.Popen(
            [*victim.ssh("-N", "-o", "ExitOnForwardFailure=yes", "-L", forward)],
            stdin=subprocess.DEVNULL,
        )
        self._worker: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        wait_until(lambda: answers(self._port), message="the honest client did not log in")
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "tests.attacks.honest_worker", str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=SOURCE,
        )
        self.measure()
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None:
            with suppress(OSError):
                self._worker.communicate(timeout=30)
            self._worker.kill()
            self._worker.wait()
        self._ssh.kill()
        self._ssh.wait()

    def measure(self) -> Figures:
        """Return the round trips since the last call.

        Raises AssertionError if the connection was lost.
        """
        worker = self._worker
        assert worker is not None
        assert worker.stdin is not None
        assert worker.stdout is not None
        with suppress(OSError):
            worker.stdin.write("\n")
            worker.stdin.flush()
        answer = worker.stdout.readline()
        assert answer, "the honest client lost its connection"
        return Figures.of(json.loads(answer))

    async def measure_during(self, seconds: float) -> Figures:
        """Return the round trips of the next seconds."""
        await asyncio.to_thread(self.measure)
        await asyncio.sleep(seconds)
        return await asyncio.to_thread(self.measure)

    async def log_in(self) -> float:
        """Log in again and send data through the relay; return the seconds that it took.

        A refused login is repeated at once, as a tunnel is. Raises AssertionError if none succeeded
        within LOGIN_PATIENCE.
        """
        started = time.monotonic()
        try:
            async with asyncio.timeout(LOGIN_PATIENCE):
                while not await self._try_login():
                    pass
        except TimeoutError:
            raise AssertionError("an honest client could not log in") from None
        return time.monotonic() - started

    async def _try_login(self) -> bool:
        process = await asyncio.create_subprocess_exec(
            *self._victim.ssh("-W", f"127.0.0.1:{self._victim.echo_port}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(b"hello")
            return await process.stdout.read(5) == b"hello"
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
