"""Detects from two clock readings that the machine was suspended or this process was stopped.

CLOCK_MONOTONIC stands still while a machine is suspended and CLOCK_BOOTTIME does not
(clock_gettime(2)). The time of day is not used, so setting the clock is not a resume.
"""

from __future__ import annotations

from msgspec import Struct

CHECK_INTERVAL = 2.0
"""Seconds between two readings, and so the longest time until a resume is noticed."""

MIN_SUSPENDED = 2.0
"""Seconds of suspension that count. Far more than passes between reading two clocks."""

MIN_STOPPED = 5.0
"""Seconds that a reading must be late before the process counts as having been stopped. A loaded
machine may delay one by a second or two."""


class ClockReading(Struct, frozen=True):
    """The clocks at one moment, in seconds. boottime: None if the platform has no such clock."""

    monotonic: float
    boottime: float | None


class Resume(Struct, frozen=True):
    """suspended: seconds that the machine was suspended. stopped: seconds that the process was."""

    suspended: float = 0.0
    stopped: float = 0.0


def detect_resume(before: ClockReading, after: ClockReading) -> Resume | None:
    """Return the resume between two readings made CHECK_INTERVAL apart, if any."""
    passed = after.monotonic - before.monotonic
    if before.boottime is not None and after.boottime is not None:
        suspended = (after.boottime - before.boottime) - passed
        if suspended >= MIN_SUSPENDED:
            return Resume(suspended=suspended)
    late = passed - CHECK_INTERVAL
    return Resume(stopped=late) if late >= MIN_STOPPED else None
