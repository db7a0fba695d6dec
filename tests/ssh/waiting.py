"""Waiting for a condition with a deadline: the only module of these tests that sleeps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

DEADLINE = 30.0
"""Seconds: longer than any step takes, short enough for a hung test."""

POLL_INTERVAL = 0.002
"""Seconds between two checks: short compared with every deadline."""


async def until(condition: Callable[[], T], within: float = DEADLINE, description: str = "") -> T:
    """Poll a condition and return its first true value.

    Raises:
        AssertionError: The condition is not true within the time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        value = condition()
        if value:
            return value
        if loop.time() >= deadline:
            raise AssertionError(f"not true within {within} s: {description or condition}")
        await asyncio.sleep(POLL_INTERVAL)


async def until_stable(value: Callable[[], T], turns: int = 50) -> T:
    """Return a value once a number of consecutive checks found it unchanged."""
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
