"""Tells from two looks at the clocks whether the machine slept or this process was stopped.

CLOCK_MONOTONIC stands still while a machine is suspended and CLOCK_BOOTTIME does not
(clock_gettime(2)). The time of day plays no part: a clock that is set is no wake.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOK_EVERY = 2.0
"""Seconds between two looks: a wake is noticed that much later at the latest."""

SLEPT_AT_LEAST = 2.0
"""Seconds of suspension that count: far above what passes between reading two clocks."""

STOPPED_AT_LEAST = 5.0
"""Seconds that a look has to be late by before the process counts as having been stopped: a loaded
machine may delay one by a second or two."""


@dataclass(frozen=True, slots=True)
class Look:
    """The clocks at one moment, in seconds. boottime: None where a platform has no such clock."""

    monotonic: float
    boottime: float | None


@dataclass(frozen=True, slots=True)
class Wake:
    """asleep: seconds for which the machine was suspended; stopped: for which the process was."""

    asleep: float = 0.0
    stopped: float = 0.0


def wake_between(before: Look, after: Look) -> Wake | None:
    """The wake between two looks that were to be LOOK_EVERY seconds apart, if there was one."""
    passed = after.monotonic - before.monotonic
    if before.boottime is not None and after.boottime is not None:
        asleep = (after.boottime - before.boottime) - passed
        if asleep >= SLEPT_AT_LEAST:
            return Wake(asleep=asleep)
    late = passed - LOOK_EVERY
    return Wake(stopped=late) if late >= STOPPED_AT_LEAST else None
