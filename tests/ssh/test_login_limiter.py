from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from tests.ssh.waiting import until
from tunnelkeeper.core.concurrency_limit import MAX_LIMIT, SUCCESSES_PER_INCREASE
from tunnelkeeper.ssh.login_limiter import LoginLimiter, LoginSlot

RELAY = ("relay", 22)
OTHER = ("other", 22)

Place = tuple[AbstractAsyncContextManager[LoginSlot], LoginSlot]


class Visitors:
    """Visitors of servers that stay until the door is opened."""

    def __init__(self) -> None:
        self.crowd = LoginLimiter()
        self.inside: list[LoginSlot] = []
        self.leave = asyncio.Event()

    async def visit(self, server: tuple[str, int]) -> None:
        async with self.crowd.acquire(server) as visit:
            self.inside.append(visit)
            try:
                await self.leave.wait()
            finally:
                self.inside.remove(visit)

    def waiting(self, server: tuple[str, int]) -> int:
        return sum(not turn.done() for turn in self.crowd._servers[server].queue)


async def all_slots(crowd: LoginLimiter, count: int = MAX_LIMIT) -> list[Place]:
    """Take all slots of a server at once."""
    places = [crowd.acquire(RELAY) for _ in range(count)]
    async with asyncio.timeout(10):
        return [(place, await place.__aenter__()) for place in places]


async def left(*places: Place) -> None:
    for place, _ in places:
        await place.__aexit__(None, None, None)


async def reject_all(crowd: LoginLimiter, company: int) -> list[str]:
    """Reject a number of concurrent logins; return the log messages."""
    places = await all_slots(crowd, company)
    news = [visit.rejected() for _, visit in places]
    await left(*places)
    return [line for line in news if line]


async def test_concurrent_handshakes_with_one_server_are_limited() -> None:
    visitors = Visitors()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for _ in range(MAX_LIMIT + 4):
            tasks.create_task(visitors.visit(RELAY))
        await until(lambda: len(visitors.inside) == MAX_LIMIT)
        assert visitors.waiting(RELAY) == 4

        tasks.create_task(visitors.visit(OTHER))  # has a queue of its own
        await until(lambda: len(visitors.inside) == MAX_LIMIT + 1)
        visitors.leave.set()

    assert visitors.inside == []
    assert visitors.crowd == LoginLimiter()


async def test_cancelling_a_waiter_passes_its_turn_to_the_next() -> None:
    visitors = Visitors()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        inside = [tasks.create_task(visitors.visit(RELAY)) for _ in range(MAX_LIMIT)]
        await until(lambda: len(visitors.inside) == MAX_LIMIT)
        impatient = tasks.create_task(visitors.visit(RELAY))
        patient = tasks.create_task(visitors.visit(RELAY))
        await until(lambda: visitors.waiting(RELAY) == 2)
        impatient.cancel()
        inside[0].cancel()
        await until(lambda: inside[0].done() and len(visitors.inside) == MAX_LIMIT)
        assert impatient.cancelled()
        assert not patient.done()
        visitors.leave.set()

    assert visitors.crowd == LoginLimiter()


async def test_cancelling_a_granted_slot_passes_it_to_the_next_waiter() -> None:
    visitors = Visitors()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        first, *others = await all_slots(visitors.crowd)
        impatient = tasks.create_task(visitors.visit(RELAY))
        tasks.create_task(visitors.visit(RELAY))
        await until(lambda: visitors.waiting(RELAY) == 2)

        await left(first)
        impatient.cancel()

        await until(lambda: impatient.done() and len(visitors.inside) == 1)
        assert visitors.waiting(RELAY) == 0
        visitors.leave.set()
        await left(*others)

    assert visitors.crowd == LoginLimiter()


async def test_a_cancelled_waiter_does_not_affect_later_ones() -> None:
    visitors = Visitors()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        places = await all_slots(visitors.crowd)
        impatient = tasks.create_task(visitors.visit(RELAY))
        await until(lambda: visitors.waiting(RELAY) == 1)

        impatient.cancel()
        await left(*places)
        places = await all_slots(visitors.crowd)
        await until(impatient.done)
        tasks.create_task(visitors.visit(RELAY))

        await until(lambda: visitors.waiting(RELAY) == 1)
        visitors.leave.set()
        await left(*places)

    assert visitors.crowd == LoginLimiter()


async def test_rejections_lower_the_limit() -> None:
    crowd = LoginLimiter()

    assert await reject_all(crowd, 4) == [
        "hung up on one of 2 that came at once; from now on 1 at a time"
    ]

    visitors = Visitors()
    visitors.crowd = crowd  # all slots were free meanwhile
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(visitors.visit(RELAY))
        await until(lambda: visitors.inside)
        assert visitors.waiting(RELAY) == 2
        tasks.create_task(visitors.visit(OTHER))  # has done nothing
        tasks.create_task(visitors.visit(OTHER))
        await until(lambda: len(visitors.inside) == 3)
        visitors.leave.set()


async def test_waiters_start_as_soon_as_the_limit_rises() -> None:
    crowd = LoginLimiter()
    await reject_all(crowd, 2)
    for _ in range(SUCCESSES_PER_INCREASE - 1):
        async with crowd.acquire(RELAY) as visit:
            visit.succeeded()

    visitors = Visitors()
    visitors.crowd = crowd
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(visitors.visit(RELAY))
        await until(lambda: visitors.waiting(RELAY) == 2)
        [only] = visitors.inside
        only.succeeded()
        visitors.leave.set()
        await until(lambda: not visitors.waiting(RELAY))
        assert crowd._servers[RELAY].concurrency.limit == 2
