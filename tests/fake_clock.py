"""A clock under the control of a test, and helpers that run the event loop without waiting."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

DEADLINE = 30
"""Real seconds, far more than any test takes, and short enough to wait for a hanging test."""

LONGER_THAN_ANY_STALL = 24 * 3600.0
"""Seconds, for limits that use the machine's clock and are not the subject of the test."""

SETTLE_TURNS = 40
"""More iterations of the event loop than any work needs that waits for neither time nor sockets."""

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def settle(turns: int = SETTLE_TURNS) -> None:
    """Run the event loop until all work that needs neither time nor a socket is done."""
    for _ in range(turns):
        await asyncio.sleep(0)


@asynccontextmanager
async def within_deadline() -> AsyncIterator[None]:
    """Give the body DEADLINE seconds during which the machine actually runs.

    The seconds are counted one by one, so that a stall of a minute costs one second.

    Raises:
        TimeoutError: The body took longer.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as limit:

        def count(left: int) -> None:
            nonlocal timer
            if left:
                timer = loop.call_later(1.0, count, left - 1)
            else:
                limit.reschedule(loop.time())

        timer = loop.call_later(1.0, count, DEADLINE - 1)
        try:
            yield
        finally:
            timer.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Run the event loop until the condition is true."""
    async with within_deadline():
        while not condition():  # noqa: ASYNC110  an event for everything would change the subject
            await asyncio.sleep(0)


@dataclass(eq=False)
class FakeTimer:
    """A scheduled call that runs when the test advances the clock."""

    when: float
    callback: Callable[[], None]
    _timers: list[FakeTimer] = field(repr=False)

    def cancel(self) -> None:
        if self in self._timers:
            self._timers.remove(self)

    def fire(self) -> None:
        """Run the call now, whatever the time is."""
        self.cancel()
        self.callback()


@dataclass
class FakeClock:
    """A clock.Clock that stands still until a test advances it.

    suspended: Seconds that the machine was suspended. wall_offset: Seconds by which the wall clock
    was set. counts_sleep: Whether the system has a clock that includes suspended time.
    """

    now: float = 1000.0
    suspended: float = 0.0
    wall_offset: float = 0.0
    counts_sleep: bool = True
    timers: list[FakeTimer] = field(default_factory=list)
    _started_at: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def boottime(self) -> float | None:
        return self.now + self.suspended if self.counts_sleep else None

    def wall(self) -> datetime:
        passed = self.now - self._started_at + self.suspended + self.wall_offset
        return NOON + timedelta(seconds=passed)

    def call_at(self, when: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(when, callback, self.timers)
        self.timers.append(timer)
        return timer

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        timer = self.call_at(self.now + seconds, lambda: woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()

    async def advance(self, seconds: float) -> None:
        """Advance the time. Run due timers in order, and settle after each."""
        end = self.now + seconds
        await settle()
        while due := [timer for timer in self.timers if timer.when <= end]:
            first = min(due, key=lambda timer: timer.when)
            self.now = max(self.now, first.when)
            first.fire()
            await settle()
        self.now = end
