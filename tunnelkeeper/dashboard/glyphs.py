"""Glyphs for UTF-8 and for ASCII terminals, and the charts and titles drawn with them. Pure.

Each state has a glyph of its own, so that states differ on terminals without colours.
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
    """The glyphs of one kind of terminal.

    Attributes:
        bars: characters of one cell each, from an empty bar to a full one.
        frame: the corners of a box, two above and two below, and its side.
        mask: stands for each character of a secret that is typed.
    """

    states: Mapping[StateName, str]
    bars: str
    rule: str
    ellipsis: str
    inbound: str
    outbound: str
    ascending: str
    descending: str
    arrow: str
    marked: str
    folded: str
    dot: str
    enter: str
    frame: str
    mask: str
    is_ascii: bool

    def printable(self, text: str) -> str:
        """Return a text from outside in a form that this terminal can show."""
        printable = printable_text(text)
        if self.is_ascii and not printable.isascii():
            return printable.encode("ascii", "backslashreplace").decode("ascii")
        return printable


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
    inbound="↓",
    outbound="↑",
    ascending="▲",
    descending="▼",
    arrow="→",
    marked="▎",
    folded="▸",
    dot="·",
    enter="↵",
    frame="┌┐└┘│",
    mask="•",
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
    inbound="in",
    outbound="out",
    ascending="^",
    descending="v",
    arrow="->",
    marked="|",
    folded="#",
    dot="-",
    enter="Enter",
    frame="++++|",
    mask="*",
    is_ascii=True,
)

MIN_SCALE = 1000.0
"""Minimum bytes per second of a full bar, so that a few bytes do not look like a flood."""


def chart_scale(values: Sequence[float]) -> float:
    """Return the value of a full bar."""
    return max(MIN_SCALE, *values) if values else MIN_SCALE


def draw_sparkline(values: Sequence[float], bars: str) -> str:
    """Draw one character for each value. Any traffic at all is visible."""
    scale = chart_scale(values)
    steps = len(bars) - 1
    return "".join(bars[_bar_steps(value, scale, steps)] for value in values)


def draw_chart(values: Sequence[float], height: int, bars: str) -> list[str]:
    """Draw a bar for each value over several lines. The top line is the first."""
    scale = chart_scale(values)
    steps_per_line = len(bars) - 1
    steps = [_bar_steps(value, scale, steps_per_line * height) for value in values]
    return [
        "".join(bars[min(steps_per_line, max(0, step - steps_per_line * line))] for step in steps)
        for line in reversed(range(height))
    ]


def state_line(state: StateName, text: str, glyphs: Glyphs) -> Line:
    """Return the glyph of a state in its colour, and a text about it in a readable one."""
    glyph = (f"class:state.{state}", glyphs.states[state])
    return [glyph, (f"class:word.{state}", f" {text}")] if text else [glyph]


def _bar_steps(value: float, scale: float, steps: int) -> int:
    return max(1, round(value / scale * steps)) if value > 0 else 0


def pane_title(title: Line, right: Line, cells: int, glyphs: Glyphs) -> Line:
    """Return the top line of a pane: a rule with a title, and `right` at its end if it fits."""
    start: Line = [("class:rule", glyphs.rule), ("", " "), *title, ("", " ")]
    end: Line = [("", " "), *right, ("", " "), ("class:rule", glyphs.rule)] if right else []
    gap = cells - line_width(start) - line_width(end)
    if gap < 1:
        gap, end = cells - line_width(start), []
    return fit_line([*start, ("class:rule", glyphs.rule * max(0, gap)), *end], cells, "")
