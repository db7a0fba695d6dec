"""Medians, spreads, percentiles and pairwise ratios of samples; it measures nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, minimum and maximum of samples."""

    median: float
    least: float
    most: float


def spread(samples: Sequence[float]) -> Spread:
    """Return the spread of samples; raise ValueError without samples."""
    return Spread(median(samples), min(samples), max(samples))


def median(samples: Sequence[float]) -> float:
    """Return the middle sample, or the mean of the two middle samples.

    Raises ValueError without samples.
    """
    if not samples:
        raise ValueError("there is no median of no samples")
    ordered = sorted(samples)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample with at least this percentage of samples at or below it.

    This is the nearest-rank method. Raises ValueError without samples, or if percent is not within
    0 and 100.
    """
    if not samples:
        raise ValueError("there is no percentile of no samples")
    if not 0 <= percent <= 100:
        raise ValueError(f"expected a percentage from 0 to 100, got {percent}")
    rank = max(math.ceil(len(samples) * percent / 100), 1)
    return sorted(samples)[rank - 1]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return ours divided by theirs for each round.

    The samples of a round are close in time, so a temporary disturbance affects both.
    Raises ValueError if the numbers of rounds differ, or if one of theirs is not positive.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} samples cannot be paired with {len(theirs)}")
    if any(sample <= 0 for sample in theirs):
        raise ValueError(f"expected samples above zero to compare with, got {list(theirs)}")
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]
