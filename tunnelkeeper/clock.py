"""The clock that tunnels get injected. Only this module reads the system's clocks for them."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Cancel the call."""


class Clock(Protocol):
    """The interface of a clock; tests have a fake one. Durations are in seconds."""

    def monotonic(self) -> float:
        """Return the seconds of a clock that never jumps."""

    def boottime(self) -> float | None:
        """Return seconds that include suspend, or None if the system does not count them."""

    def wall(self) -> datetime:
        """Return the date and time, for display and for the validity of certificates."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Schedule a call for the time when monotonic() reaches `when`."""

    async def sleep(self, seconds: float) -> None:
        """Sleep."""


class SystemClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        """Return the seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    def boottime(self) -> float | None:
        """Return the seconds of CLOCK_BOOTTIME, or None where it does not exist."""
        clock = getattr(time, "CLOCK_BOOTTIME", None)  # Linux only
        return None if clock is None else time.clock_gettime(clock)

    def wall(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Schedule a call on the running loop."""
        delay = max(0.0, when - time.monotonic())
        return asyncio.get_running_loop().call_later(delay, callback)

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running loop."""
        await asyncio.sleep(seconds)


def iso(moment: datetime) -> str:
    """Format a moment for status and logs: ISO 8601 in UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_now() -> str:
    """Return the current time, formatted by `iso`."""
    return iso(datetime.now(UTC))
