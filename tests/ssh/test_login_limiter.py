from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from tests.ssh.waiting import until
from tunnelkeeper.core.concurrency_limit import MAX_LIMIT, SUCCESSES_PER_INCREASE
from tunnelkeeper.ssh import login_limiter
from tunnelkeeper.ssh.login_limiter import LoginLimiter, LoginSlot

if TYPE_CHECKING:
    import pytest

RELAY = ("relay", 22)
OTHER = ("other", 22)

HeldSlot = tuple[AbstractAsyncContextManager[LoginSlot], LoginSlot]


class Clients:
    """Clients that hold their slots until `may_finish` is set."""

    def __init__(self) -> None:
        self.limiter = LoginLimiter()
        self.in_progress: list[LoginSlot] = []
        self.may_finish = asyncio.Event()

    async def log_in(self, server: tuple[str, int]) -> None:
        async with self.limiter.acquire(server) as slot:
            self.in_progress.append(slot)
            try:
                await self.may_finish.wait()
            finally:
                self.in_progress.remove(slot)

    def waiting(self, server: tuple[str, int]) -> int:
        return sum(
            not waiter_future.done() for waiter_future in self.limiter._servers[server].queue
        )


async def all_slots(limiter: LoginLimiter, count: int = MAX_LIMIT) -> list[HeldSlot]:
    """Take all slots of a server at once."""
    slots = [limiter.acquire(RELAY) for _ in range(count)]
    async with asyncio.timeout(10):
        return [(slot, await slot.__aenter__()) for slot in slots]


async def release_slots(*slots: HeldSlot) -> None:
    for slot_context, _ in slots:
        await slot_context.__aexit__(None, None, None)


async def reject_all(limiter: LoginLimiter, count: int) -> list[str]:
    """Reject a number of concurrent logins; return the log messages."""
    slots = await all_slots(limiter, count)
    messages = [slot.rejected() for _, slot in slots]
    await release_slots(*slots)
    return [line for line in messages if line]


async def test_concurrent_handshakes_with_one_server_are_limited() -> None:
    clients = Clients()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for _ in range(MAX_LIMIT + 4):
            tasks.create_task(clients.log_in(RELAY))
        await until(lambda: len(clients.in_progress) == MAX_LIMIT)
        assert clients.waiting(RELAY) == 4

        tasks.create_task(clients.log_in(OTHER))  # has a separate queue
        await until(lambda: len(clients.in_progress) == MAX_LIMIT + 1)
        clients.may_finish.set()

    assert clients.in_progress == []
    assert clients.limiter == LoginLimiter()


async def test_handshakes_that_hang_let_others_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_limiter, "PATIENCE", 0.01)
    clients = Clients()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for _ in range(3 * MAX_LIMIT):
            tasks.create_task(clients.log_in(RELAY))
        await until(lambda: len(clients.in_progress) == 3 * MAX_LIMIT)
        clients.may_finish.set()

    assert clients.limiter == LoginLimiter()


async def test_cancelling_a_waiter_passes_its_slot_to_the_next() -> None:
    clients = Clients()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        admitted = [tasks.create_task(clients.log_in(RELAY)) for _ in range(MAX_LIMIT)]
        await until(lambda: len(clients.in_progress) == MAX_LIMIT)
        cancelled = tasks.create_task(clients.log_in(RELAY))
        waiter = tasks.create_task(clients.log_in(RELAY))
        await until(lambda: clients.waiting(RELAY) == 2)
        cancelled.cancel()
        admitted[0].cancel()
        await until(lambda: admitted[0].done() and len(clients.in_progress) == MAX_LIMIT)
        assert cancelled.cancelled()
        assert not waiter.done()
        clients.may_finish.set()

    assert clients.limiter == LoginLimiter()


async def test_cancelling_a_granted_slot_passes_it_to_the_next_waiter() -> None:
    clients = Clients()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        first, *others = await all_slots(clients.limiter)
        cancelled = tasks.create_task(clients.log_in(RELAY))
        tasks.create_task(clients.log_in(RELAY))
        await until(lambda: clients.waiting(RELAY) == 2)

        await release_slots(first)
        cancelled.cancel()

        await until(lambda: cancelled.done() and len(clients.in_progress) == 1)
        assert clients.waiting(RELAY) == 0
        clients.may_finish.set()
        await release_slots(*others)

    assert clients.limiter == LoginLimiter()


async def test_a_cancelled_waiter_does_not_affect_later_ones() -> None:
    clients = Clients()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        slots = await all_slots(clients.limiter)
        cancelled = tasks.create_task(clients.log_in(RELAY))
        await until(lambda: clients.waiting(RELAY) == 1)

        cancelled.cancel()
        await release_slots(*slots)
        slots = await all_slots(clients.limiter)
        await until(cancelled.done)
        tasks.create_task(clients.log_in(RELAY))

        await until(lambda: clients.waiting(RELAY) == 1)
        clients.may_finish.set()
        await release_slots(*slots)

    assert clients.limiter == LoginLimiter()


async def test_rejections_lower_the_limit() -> None:
    limiter = LoginLimiter()

    assert await reject_all(limiter, 4) == [
        "the server closed one of 2 concurrent logins; the limit is now 1"
    ]

    clients = Clients()
    clients.limiter = limiter  # all slots were free meanwhile
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(clients.log_in(RELAY))
        await until(lambda: clients.in_progress)
        assert clients.waiting(RELAY) == 2
        tasks.create_task(clients.log_in(OTHER))  # the rejections do not affect this server
        tasks.create_task(clients.log_in(OTHER))
        await until(lambda: len(clients.in_progress) == 3)
        clients.may_finish.set()


async def test_waiters_start_as_soon_as_the_limit_rises() -> None:
    limiter = LoginLimiter()
    await reject_all(limiter, 2)
    for _ in range(SUCCESSES_PER_INCREASE - 1):
        async with limiter.acquire(RELAY) as slot:
            slot.succeeded()

    clients = Clients()
    clients.limiter = limiter
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(clients.log_in(RELAY))
        await until(lambda: clients.waiting(RELAY) == 2)
        [only] = clients.in_progress
        only.succeeded()
        clients.may_finish.set()
        await until(lambda: not clients.waiting(RELAY))
        assert limiter._servers[RELAY].concurrency.limit == 2
