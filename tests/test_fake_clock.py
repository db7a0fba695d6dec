"""The deadline of tests: a hanging test ends, a stalled machine does not fail it."""

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
    """Run a number of stalls, each of which the event loop sees in at most two iterations."""
    async with within_deadline():
        for _ in range(times):
            stall()
            await asyncio.sleep(0)


async def test_a_stalled_machine_does_not_fail_a_test(stall: Stall) -> None:
    await stand_still(DEADLINE // 2, stall)


async def test_a_hanging_test_is_ended(stall: Stall) -> None:
    with pytest.raises(TimeoutError):
        await stand_still(3 * DEADLINE, stall)
