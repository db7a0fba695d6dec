"""Time, handed in: the one place where the daemon reads a clock or waits for one."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Let it not come."""


class Clock(Protocol):
    """What runners and forwards know of time. Durations are seconds."""

    def monotonic(self) -> float:
        """Seconds that never jump."""

    def boottime(self) -> float | None:
        """Seconds that go on while the machine sleeps, or None: this system does not count them."""

    def wall(self) -> datetime:
        """The date and time, for people only: nothing is decided by it."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back once monotonic() has reached `when`."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        """See Clock."""
        return time.monotonic()

    def boottime(self) -> float | None:
        """See Clock."""
        clock = getattr(time, "CLOCK_BOOTTIME", None)  # Linux has it
        return None if clock is None else time.clock_gettime(clock)

    def wall(self) -> datetime:
        """See Clock."""
        return datetime.now(UTC)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """See Clock."""
        delay = max(0.0, when - time.monotonic())
        return asyncio.get_running_loop().call_later(delay, callback)

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(seconds)


def iso(moment: datetime) -> str:
    """A moment as status and logs show it: ISO 8601 in UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_now() -> str:
    """Return the current time, formatted by `iso`."""
    return iso(datetime.now(UTC))
