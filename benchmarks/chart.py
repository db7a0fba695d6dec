"""A bar chart of a run's ratios as SVG; bars to the right are better. It writes no files.

The scale is logarithmic because memory and speed differ by orders of magnitude: twice as good is as
far to the right as half as good is to the left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from benchmarks.rows import Better
from benchmarks.table import figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.report import Comparison

WIDTH = 880
NAMES = 222  # x where the row names end
LABELS = 362  # x where the bars start
RIGHT = 60  # space for the numbers behind the bars
TOP, LINE, BOTTOM = 64, 24, 34
BAR = 12
TICKS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32, 64)

LEGEND = (
    "Times as good as the other. Bar: the median; thin line: the spread; upright line: what is "
    "required."
)
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-size: 15px; font-weight: 600; }
  .faint { fill: #57606a; font-size: 11px; }
  .label { text-anchor: end; }
  .middle { text-anchor: middle; }
  .ground { fill: #ffffff; }
  .grid { stroke: #d8dee4; }
  .even { stroke: #57606a; }
  .met { fill: #2da44e; }
  .missed { fill: #cf222e; }
  .spread { stroke: #24292f; stroke-opacity: 0.55; }
  .required { stroke: #bf8700; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .faint { fill: #8d96a0; } .ground { fill: #0d1117; }
    .grid { stroke: #30363d; } .even { stroke: #8d96a0; } .spread { stroke: #e6edf3; }
  }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """A ratio in which more is better: above 1, tunnelkeeper is better."""

    label: str
    against: str
    gain: float
    least: float
    most: float
    required: float
    is_met: bool


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic scale from gains to pixels."""

    least: float
    most: float

    def x(self, gain: float) -> float:
        """Return the x position of a gain, clamped to the ends of the axis."""
        held = min(max(gain, self.least), self.most)
        share = math.log(held / self.least) / math.log(self.most / self.least)
        return round(LABELS + share * (WIDTH - LABELS - RIGHT), 1)


def bar(comparison: Comparison) -> Bar:
    """Return the bar of a comparison. A ratio in which less is better is inverted."""
    row, ratio = comparison.row, comparison.ratio
    ends = (ratio.least, ratio.most)
    gain, required = ratio.median, row.required
    if row.better is Better.LESS:
        ends, gain, required = (1 / ratio.most, 1 / ratio.least), 1 / gain, 1 / required
    met = row.is_met(ratio.median)
    return Bar(row.what, row.against, gain, ends[0], ends[1], required, met)


def axis(bars: Sequence[Bar]) -> Axis:
    """Return an axis from one tick to another that shows every bar, and 1."""
    low = min([each.least for each in bars] + [each.required for each in bars] + [1.0])
    high = max([each.most for each in bars] + [each.required for each in bars] + [1.0])
    least = max((tick for tick in TICKS if tick < low), default=TICKS[0])
    most = min((tick for tick in TICKS if tick > high), default=TICKS[-1])
    return Axis(least, most)


def draw(comparisons: Sequence[Comparison], title: str) -> str:
    """Render the chart as SVG."""
    bars = [bar(each) for each in comparisons]
    scale = axis(bars)
    height = TOP + LINE * len(bars) + BOTTOM
    inside = [
        _tag("title", title),
        f"<style>{STYLE}</style>",
        _tag("rect", class_="ground", width=WIDTH, height=height),
        _tag("text", title, class_="title", x=16, y=26),
        _tag("text", LEGEND, class_="faint", x=16, y=44),
        *_grid(scale, height),
        *(line for number, each in enumerate(bars) for line in _bar(each, number, scale)),
    ]
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return "\n".join([head, *inside, "</svg>", ""])


def _grid(scale: Axis, height: int) -> list[str]:
    end = height - BOTTOM + 6
    lines = []
    for tick in TICKS:
        if scale.least <= tick <= scale.most:
            x = scale.x(tick)
            name = f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}"
            kind = "even" if tick == 1 else "grid"
            lines += [
                _tag("line", class_=kind, x1=x, y1=TOP - 8, x2=x, y2=end),
                _tag("text", name, class_="faint middle", x=x, y=end + 16),
            ]
    return lines


def _bar(shown: Bar, number: int, scale: Axis) -> list[str]:
    top = TOP + number * LINE
    middle = top + BAR / 2
    even, end = scale.x(1), scale.x(shown.gain)
    least, most, required = (scale.x(gain) for gain in (shown.least, shown.most, shown.required))
    left, width = min(even, end), round(abs(end - even), 1)
    behind = max(even, end, most, required) + 6
    kind = "met" if shown.is_met else "missed"
    base = middle + 4
    return [
        _tag("text", shown.label, class_="label", x=NAMES, y=base),
        _tag("text", shown.against, class_="faint", x=NAMES + 10, y=base),
        _tag("rect", class_=kind, x=left, y=top, width=width, height=BAR),
        _tag("circle", class_=kind, cx=end, cy=middle, r=4),  # makes a bar of zero length visible
        _tag("line", class_="spread", x1=least, y1=middle, x2=most, y2=middle),
        _tag("line", class_="required", x1=required, y1=top - 3, x2=required, y2=top + BAR + 3),
        _tag("text", figure(shown.gain), class_="faint", x=behind, y=base),
    ]


def _tag(name: str, text: str = "", **attributes: str | float) -> str:
    """Return an XML element. A trailing _ in an attribute name avoids a Python keyword."""
    attribute_text = "".join(
        f" {key.rstrip('_')}={quoteattr(str(v))}" for key, v in attributes.items()
    )
    return (
        f"<{name}{attribute_text}>{escape(text)}</{name}>" if text else f"<{name}{attribute_text}/>"
    )
