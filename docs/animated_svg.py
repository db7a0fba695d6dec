"""Captures of terminals over time as one animated SVG, without scripts; reads and writes no files.

A line of a terminal is drawn once for each time that it changes, and CSS shows it while it was on
the screen. A reader that shows no animation, or is configured for reduced motion, shows the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

from docs.terminal_svg import (
    BACKGROUND,
    CELL_HEIGHT,
    CELL_WIDTH,
    FONT_SIZE,
    FONTS,
    MARGIN,
    Attributes,
    Cells,
    draw_line,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REPEATS = 3
"""Times that the animation plays; after that its end stays."""

TITLE_HEIGHT = 24
GAP = 4 * CELL_WIDTH - 2 * MARGIN
"""Pixels between two panes: two beside each other are as wide as one with four columns more."""

EDGE, TITLE = "#3d434e", "#9aa2b1"


@dataclass(frozen=True, slots=True)
class Pane:
    """A terminal: its title, its size in cells, and its place in pixels."""

    title: str
    columns: int
    rows: int
    left: float = 0
    top: float = 0

    @property
    def width(self) -> float:
        """In pixels, with its margins."""
        return self.columns * CELL_WIDTH + 2 * MARGIN

    @property
    def height(self) -> float:
        """In pixels, with its title and its lower margin."""
        return self.rows * CELL_HEIGHT + TITLE_HEIGHT + MARGIN


@dataclass(frozen=True, slots=True)
class Screen:
    """What tmux captured of a terminal. cursor: its column and row, if it is visible."""

    text: str
    cursor: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """The screens of all panes at a time in seconds."""

    at: float
    screens: tuple[Screen, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A line, and the times between which it was on the screen."""

    cells: Cells
    start: float
    end: float


def animated_svg(panes: Sequence[Pane], frames: Sequence[Frame], hold: float, title: str) -> str:
    """Render the frames. hold: seconds for which the last one stays before a repetition."""
    duration = frames[-1].at + hold
    drawn: list[str] = []
    periods: set[tuple[float, float]] = set()
    for number, pane in enumerate(panes):
        drawn += _frame_of(pane)
        screens = [(frame.at, lines_of(frame.screens[number])) for frame in frames]
        for row in range(pane.rows):
            top = pane.top + TITLE_HEIGHT + row * CELL_HEIGHT
            for shown in changes(screens, row, duration):
                elements = "".join(draw_line(shown.cells, pane.left + MARGIN, top))
                if elements:
                    period = (shown.start, shown.end)
                    periods.add(period)
                    drawn.append(f'<g class="{_class_name(period)}">{elements}</g>')
    width = max(pane.left + pane.width for pane in panes)
    height = max(pane.top + pane.height for pane in panes)
    size = f'viewBox="-1 -1 {width + 2:.0f} {height + 2:.0f}" width="{width + 2:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-size="{FONT_SIZE}" {FONTS}'
    rules = "\n".join(_rules(periods, duration))
    return "\n".join(
        [
            f'{head} role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{rules}\n</style>",
            *drawn,
            "</svg>",
            "",
        ]
    )


def lines_of(screen: Screen) -> list[Cells]:
    """Return the lines of a screen, with its cursor in reverse."""
    lines = parse(screen.text)
    if screen.cursor:
        column, row = screen.cursor
        lines += [[] for _ in range(row + 1 - len(lines))]
        cells = lines[row]
        cells += [(" ", Attributes())] * (column + 1 - len(cells))
        character, attributes = cells[column]
        cells[column] = (character, replace(attributes, reverse=True))
    return lines


def changes(
    screens: Sequence[tuple[float, list[Cells]]], row: int, duration: float
) -> Iterator[Shown]:
    """Yield each content of a row with its period; consecutive equal ones are one."""
    current: Cells = []
    since = 0.0
    for at, lines in screens:
        cells = lines[row] if row < len(lines) else []
        if cells != current:
            if at > since:
                yield Shown(current, since, at)
            current, since = cells, at
    yield Shown(current, since, duration)


def _rules(periods: set[tuple[float, float]], duration: float) -> Iterator[str]:
    """Yield a CSS rule and its keyframes for each period; the end needs no animation to show."""
    for start, end in sorted(periods):
        name = _class_name((start, end))
        if (start, end) == (0.0, duration):
            continue
        stays = end == duration
        steps = {0.0: start == 0.0, start: True}
        if not stays:
            steps[end] = False
        keyframes = "".join(
            f"{100 * at / duration:.2f}%{{visibility:{_visibility(shown=shown)}}}"
            for at, shown in steps.items()
        )
        yield (
            f".{name}{{visibility:{_visibility(shown=stays)};"
            f"animation:{name} {duration:.2f}s step-end {REPEATS}}}"
        )
        yield f"@keyframes {name}{{{keyframes}}}"
    yield "@media (prefers-reduced-motion: reduce){*{animation:none!important}}"


def _class_name(period: tuple[float, float]) -> str:
    start, end = period
    return f"t{start * 100:.0f}-{end * 100:.0f}"


def _visibility(*, shown: bool) -> str:
    return "visible" if shown else "hidden"


def _frame_of(pane: Pane) -> list[str]:
    box = f'x="{pane.left:.1f}" y="{pane.top:.1f}" width="{pane.width:.1f}"'
    return [
        f'<rect {box} height="{pane.height:.1f}" rx="8" fill="{BACKGROUND}" stroke="{EDGE}"/>',
        (
            f'<text x="{pane.left + MARGIN:.1f}" y="{pane.top + 16:.1f}" fill="{TITLE}" '
            f'font-size="12">{escape(pane.title)}</text>'
        ),
    ]


def beside(*panes: Pane) -> list[Pane]:
    """Place panes in a row."""
    placed: list[Pane] = []
    left = 0.0
    for pane in panes:
        placed.append(Pane(pane.title, pane.columns, pane.rows, left, pane.top))
        left += pane.width + GAP
    return placed


def below(pane: Pane, others: Sequence[Pane]) -> Pane:
    """Place a pane below others."""
    top = max(other.top + other.height for other in others) + GAP
    return Pane(pane.title, pane.columns, pane.rows, 0, top)
