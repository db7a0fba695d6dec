"""Time under a test's control, and waiting for what needs no time: turns of the event loop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

DEADLINE = 30
"""Real seconds: far more than anything here takes, far less than a person waits for a hung test."""

LONGER_THAN_ANY_STALL = 24 * 3600.0
"""Seconds, for limits of the program that go by the machine's clock and are not the subject."""

SETTLE_TURNS = 40
"""More turns of the event loop than anything takes that waits neither for time nor for a socket."""

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def settle(turns: int = SETTLE_TURNS) -> None:
    """Let everything happen that can happen without time or a socket."""
    for _ in range(turns):
        await asyncio.sleep(0)


@asynccontextmanager
async def within_deadline() -> AsyncIterator[None]:
    """Give the body DEADLINE seconds in which the machine really runs.

    They are counted one by one, so that a machine that stood still for a minute is a second late
    and not at its end. Raises TimeoutError.
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
    """Let things happen until the condition is true."""
    async with within_deadline():
        while not condition():  # noqa: ASYNC110  an event for everything would change the subject
            await asyncio.sleep(0)


@dataclass(eq=False)
class FakeTimer:
    """A call that comes when the test lets its time come."""

    when: float
    callback: Callable[[], None]
    _timers: list[FakeTimer] = field(repr=False)

    def cancel(self) -> None:
        if self in self._timers:
            self._timers.remove(self)

    def fire(self) -> None:
        """Let the call come now, whatever time it is."""
        self.cancel()
        self.callback()


@dataclass
class FakeClock:
    """A clock.Clock that stands still until a test lets time pass.

    asleep: seconds that the machine has slept. set_by: seconds that somebody set the wall clock by.
    counts_sleep: whether the system has a clock that goes on meanwhile.
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
        """Let so much time pass; what falls due happens in order, each with its consequences."""
        end = self.now + seconds
        await settle()
        while due := [timer for timer in self.timers if timer.when <= end]:
            first = min(due, key=lambda timer: timer.when)
            self.now = max(self.now, first.when)
            first.fire()
            await settle()
        self.now = end
