"""Programs in process groups of their own, from their start to their end."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.ssh.waiting import until
from tunnelkeeper.net.child_process import ChildProcess

DEADLINE = 30.0


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("turns", range(4))
async def test_a_start_that_is_cancelled_leaves_no_process(turns: int) -> None:
    process = ChildProcess()
    async with asyncio.timeout(DEADLINE):
        starting = asyncio.get_running_loop().create_task(
            process.start(["sh", "-c", "sleep 1000 & sleep 1000"])
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait({starting})
        if not starting.cancelled():  # it had started before
            await process.terminate()
    if process._group is not None:
        group = process._group.id
        await until(lambda: not group_exists(group))  # the last one may not be reaped yet


async def test_a_program_that_cannot_be_started_says_why() -> None:
    with pytest.raises(FileNotFoundError):
        await ChildProcess().start(["/nonexistent/program"])
