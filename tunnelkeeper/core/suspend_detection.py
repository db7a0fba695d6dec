"""Tells from two looks at the clocks whether the machine slept or this process was stopped.

CLOCK_MONOTONIC stands still while a machine is suspended and CLOCK_BOOTTIME does not
(clock_gettime(2)). The time of day plays no part: a clock that is set is no wake.
"""

from __future__ import annotations

from dataclasses import dataclass

CHECK_INTERVAL = 2.0
"""Seconds between two looks: a wake is noticed that much later at the latest."""

MIN_SUSPENDED = 2.0
"""Seconds of suspension that count: far above what passes between reading two clocks."""

MIN_STOPPED = 5.0
"""Seconds that a look has to be late by before the process counts as having been stopped: a loaded
machine may delay one by a second or two."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The clocks at one moment, in seconds. boottime: None where a platform has no such clock."""

    monotonic: float
    boottime: float | None


@dataclass(frozen=True, slots=True)
class Resume:
    """asleep: seconds for which the machine was suspended; stopped: for which the process was."""

    suspended: float = 0.0
    stopped: float = 0.0


def detect_resume(before: ClockReading, after: ClockReading) -> Resume | None:
    """The wake between two looks that were to be LOOK_EVERY seconds apart, if there was one."""
    passed = after.monotonic - before.monotonic
    if before.boottime is not None and after.boottime is not None:
        asleep = (after.boottime - before.boottime) - passed
        if asleep >= MIN_SUSPENDED:
            return Resume(suspended=asleep)
    late = passed - CHECK_INTERVAL
    return Resume(stopped=late) if late >= MIN_STOPPED else None
