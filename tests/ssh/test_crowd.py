from __future__ import annotations

import asyncio

from tests.ssh.waiting import until
from tunnelkeeper.ssh.crowd import AT_ONCE, Crowd

RELAY = ("relay", 22)
OTHER = ("other", 22)


class Visitors:
    """Visitors of servers that stay until the door is opened."""

    def __init__(self) -> None:
        self.crowd = Crowd()
        self.inside = 0
        self.leave = asyncio.Event()

    async def visit(self, server: tuple[str, int]) -> None:
        async with self.crowd.place(server):
            self.inside += 1
            try:
                await self.leave.wait()
            finally:
                self.inside -= 1

    def waiting(self, server: tuple[str, int]) -> int:
        return self.crowd._guests[server] - min(self.crowd._guests[server], AT_ONCE)


async def test_only_so_many_handshakes_with_one_server_run_at_once() -> None:
    visitors = Visitors()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE + 4):
            tasks.create_task(visitors.visit(RELAY))
        await until(lambda: visitors.inside == AT_ONCE)
        assert visitors.waiting(RELAY) == 4

        tasks.create_task(visitors.visit(OTHER))  # has a queue of its own
        await until(lambda: visitors.inside == AT_ONCE + 1)
        visitors.leave.set()

    assert visitors.inside == 0
    assert visitors.crowd == Crowd()


async def test_one_that_gives_up_waiting_leaves_its_place_to_the_next() -> None:
    visitors = Visitors()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        inside = [tasks.create_task(visitors.visit(RELAY)) for _ in range(AT_ONCE)]
        await until(lambda: visitors.inside == AT_ONCE)
        impatient = tasks.create_task(visitors.visit(RELAY))
        patient = tasks.create_task(visitors.visit(RELAY))
        await until(lambda: visitors.waiting(RELAY) == 2)
        impatient.cancel()
        inside[0].cancel()
        await until(lambda: inside[0].done() and visitors.inside == AT_ONCE)
        assert impatient.cancelled()
        assert not patient.done()
        visitors.leave.set()

    assert visitors.crowd == Crowd()
