"""Waiting for a condition with a deadline; no other code of these tests sleeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

TIMEOUT = 30.0
"""Default seconds for a condition that usually holds at once; a busy machine may need as many."""

POLL_INTERVAL = 0.02
"""Seconds between two checks: short compared with deadlines, long compared with a check."""


def wait_until(
    condition: Callable[[], T | None],
    within: float = TIMEOUT,
    message: Callable[[], str] | str = "",
) -> T:
    """Wait for the condition's first true value and return it.

    Raises AssertionError with the message after `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            details = message if isinstance(message, str) else message()
            raise AssertionError(f"not met within {within} s: {details or condition}")
        time.sleep(POLL_INTERVAL)
