"""Waits for a condition with a deadline: the only place of these tests where time passes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

DEADLINE = 30.0
"""Seconds: far more than any step takes, far less than a person waits for a hung test."""

POLL_INTERVAL = 0.002
"""Seconds between two checks: short compared with every deadline."""


async def until(condition: Callable[[], T], within: float = DEADLINE, what: str = "") -> T:
    """Return the condition's first true value.

    Raises:
        AssertionError: There is none within the time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        value = condition()
        if value:
            return value
        if loop.time() >= deadline:
            raise AssertionError(f"not so within {within} s: {what or condition}")
        await asyncio.sleep(POLL_INTERVAL)


async def until_stable(value: Callable[[], T], turns: int = 50) -> T:
    """Return a value once it is the same in a number of checks in a row."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE
    last, same = value(), 0
    while same < turns:
        if loop.time() >= deadline:
            raise AssertionError(f"still changing after {DEADLINE} s: {last}")
        await asyncio.sleep(POLL_INTERVAL)
        now = value()
        last, same = now, same + 1 if now == last else 0
    return last
