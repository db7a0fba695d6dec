"""Glyphs that are not letters, for UTF-8 and for ASCII terminals, and charts drawn with them. Pure.

Each state has a glyph of its own, for terminals without colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.text_width import Line, fit_line, line_width, printable_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tunnelkeeper.core.snapshot import StateName


@dataclass(frozen=True, slots=True)
class Glyphs:
    """A set of them. bars: heights from nothing to full; all are one cell wide."""

    states: Mapping[StateName, str]
    bars: str
    rule: str
    ellipsis: str
    inward: str
    outward: str
    ascending: str
    descending: str
    arrow: str
    marked: str
    dot: str
    axis: str
    enter: str
    is_ascii: bool

    def printable(self, text: str) -> str:
        """Text from outside: safe, and escaped where the terminal has no letters for it."""
        made = printable_text(text)
        if self.is_ascii and not made.isascii():
            return made.encode("ascii", "backslashreplace").decode("ascii")
        return made


UNICODE = Glyphs(
    states={
        "stopped": "○",
        "connecting": "◌",
        "up": "●",
        "degraded": "◐",
        "backoff": "↻",
        "blocked": "✖",
        "stopping": "◍",
    },
    bars=" ▁▂▃▄▅▆▇█",
    rule="─",
    ellipsis="…",
    inward="↓",
    outward="↑",
    ascending="▲",
    descending="▼",
    arrow="→",
    marked="▎",
    dot="·",
    axis="│",
    enter="↵",
    is_ascii=False,
)

ASCII = Glyphs(
    states={
        "stopped": "-",
        "connecting": ">",
        "up": "+",
        "degraded": "~",
        "backoff": "z",
        "blocked": "X",
        "stopping": "<",
    },
    bars=" ._-:=+*#",
    rule="-",
    ellipsis=">",
    inward="in",
    outward="out",
    ascending="^",
    descending="v",
    arrow="->",
    marked="|",
    dot="-",
    axis="|",
    enter="Enter",
    is_ascii=True,
)


MIN_SCALE = 1000.0
"""Bytes per second that fill a bar at least: a few bytes shall not look like a flood."""


def chart_scale(values: Sequence[float]) -> float:
    """What a full bar stands for."""
    return max(MIN_SCALE, *values) if values else MIN_SCALE


def draw_sparkline(values: Sequence[float], bars: str) -> str:
    """One character for each value; whatever flows at all is seen."""
    scale = chart_scale(values)
    steps = len(bars) - 1
    return "".join(bars[_bar_steps(value, scale, steps)] for value in values)


def draw_chart(values: Sequence[float], height: int, bars: str) -> list[str]:
    """Lines of one character for each value, the highest line first."""
    scale = chart_scale(values)
    per_line = len(bars) - 1
    steps = [_bar_steps(value, scale, per_line * height) for value in values]
    return [
        "".join(bars[min(per_line, max(0, step - per_line * below))] for step in steps)
        for below in reversed(range(height))
    ]


def _bar_steps(value: float, scale: float, steps: int) -> int:
    return max(1, round(value / scale * steps)) if value > 0 else 0


def pane_title(title: Line, after: Line, cells: int, glyphs: Glyphs) -> Line:
    """A title in a line of its own, with something more at the right where it fits."""
    begin: Line = [("class:rule", glyphs.rule), ("", " "), *title, ("", " ")]
    end: Line = [("", " "), *after, ("", " "), ("class:rule", glyphs.rule)] if after else []
    between = cells - line_width(begin) - line_width(end)
    if between < 1:
        between, end = cells - line_width(begin), []
    return fit_line([*begin, ("class:rule", glyphs.rule * max(0, between)), *end], cells, "")
