"""Series of numbers as bars of block characters, one line high or several; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

QUIET = 1000.0
"""Bytes per second that fill a bar at least: a few bytes shall not look like a flood."""


def scale_of(values: Sequence[float]) -> float:
    """What a full bar stands for."""
    return max(QUIET, *values) if values else QUIET


def sparkline(values: Sequence[float], bars: str) -> str:
    """One character for each value; whatever flows at all is seen."""
    scale = scale_of(values)
    steps = len(bars) - 1
    return "".join(bars[_steps(value, scale, steps)] for value in values)


def chart(values: Sequence[float], height: int, bars: str) -> list[str]:
    """Lines of one character for each value, the highest line first."""
    scale = scale_of(values)
    per_line = len(bars) - 1
    steps = [_steps(value, scale, per_line * height) for value in values]
    return [
        "".join(bars[min(per_line, max(0, step - per_line * below))] for step in steps)
        for below in reversed(range(height))
    ]


def _steps(value: float, scale: float, steps: int) -> int:
    return max(1, round(value / scale * steps)) if value > 0 else 0
