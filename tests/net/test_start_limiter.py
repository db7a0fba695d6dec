"""Calls that wait for something do not hold up those that do not."""

from __future__ import annotations

import asyncio

from tests.fake_clock import LONGER_THAN_ANY_STALL, settle
from tests.ssh.waiting import until
from tunnelkeeper.net.start_limiter import StartLimiter


class Calls:
    """Calls that run until they are released."""

    def __init__(self, limiter: StartLimiter) -> None:
        self.limiter = limiter
        self.running: list[int] = []
        self.slow: list[int] = []
        self.release = asyncio.Event()

    async def run(self, number: int) -> None:
        async with self.limiter.slot() as call:
            self.running.append(number)
            await self.release.wait()
            if call.is_slow:
                self.slow.append(number)


async def test_at_most_the_limit_of_new_calls_run() -> None:
    calls = Calls(StartLimiter(2, LONGER_THAN_ANY_STALL))
    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(calls.run(number))
        await settle()
        assert calls.running == [0, 1]

        calls.release.set()

    assert calls.running == [*range(5)]
    assert calls.slow == []


async def test_a_call_that_takes_long_lets_the_next_one_start() -> None:
    calls = Calls(StartLimiter(2, 0.01))
    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(calls.run(number))
        await until(lambda: len(calls.running) == 5)
        await until(lambda: calls.limiter._slots._value == 2)
        calls.release.set()

    assert calls.slow == [*range(5)]
    assert calls.limiter._slots._value == 2  # a slow call frees its slot once


async def test_a_cancelled_call_and_a_cancelled_waiter_free_what_they_hold() -> None:
    calls = Calls(StartLimiter(1, LONGER_THAN_ANY_STALL))
    async with asyncio.TaskGroup() as tasks:
        running, waiting, last = (tasks.create_task(calls.run(number)) for number in range(3))
        await settle()
        waiting.cancel()
        running.cancel()
        await settle()
        assert calls.running == [0, 2]
        calls.release.set()
        await last

    assert calls.limiter._slots._value == 1
