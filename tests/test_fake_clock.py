"""The time that these tests give themselves: a hung test ends, a machine that hung is forgiven."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.fake_clock import DEADLINE, within_deadline

HOUR = 3600.0

Stall = Callable[[], None]


@pytest.fixture
async def stall(monkeypatch: pytest.MonkeyPatch) -> Stall:
    """Let the machine seem to have stood still for an hour."""
    loop = asyncio.get_running_loop()
    time, stood_still = loop.time, 0.0

    def stall() -> None:
        nonlocal stood_still
        stood_still += HOUR

    monkeypatch.setattr(loop, "time", lambda: time() + stood_still)
    return stall


async def stand_still(times: int, stall: Stall) -> None:
    """What takes no time but that of so many stalls, each seen by the loop in two turns at most."""
    async with within_deadline():
        for _ in range(times):
            stall()
            await asyncio.sleep(0)


async def test_a_machine_that_stands_still_ends_no_test(stall: Stall) -> None:
    await stand_still(DEADLINE // 2, stall)


async def test_a_test_that_hangs_is_ended_all_the_same(stall: Stall) -> None:
    with pytest.raises(TimeoutError):
        await stand_still(3 * DEADLINE, stall)
