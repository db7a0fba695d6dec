"""Waits for a condition with a deadline: the only place of these tests where time passes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds for what should be so in a moment: a slow machine that is busy may need as many."""

POLL_INTERVAL = 0.02
"""Seconds between two looks: short beside every deadline, long beside what a look costs."""


def wait_until(
    condition: Callable[[], T | None],
    within: float = PATIENCE,
    complaint: Callable[[], str] | str = "",
) -> T:
    """Wait for the condition's first true value and return it.

    Raises AssertionError with the complaint if there is none. within: seconds.
    """
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            what = complaint if isinstance(complaint, str) else complaint()
            raise AssertionError(f"not so within {within} s: {what or condition}")
        time.sleep(POLL_INTERVAL)
