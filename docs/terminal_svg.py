#!/usr/bin/env python3
"""Renders a terminal screen that tmux captured as SVG.

    tmux capture-pane -N -e -p | python docs/terminal_svg.py COLUMNS > picture.svg

It supports the attributes that the program uses: SGR of ECMA-48 with 16 colours, and 256 for texts.
It supports no cursor movements, as tmux has already applied them.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby

from wcwidth import wcwidth

CELL_WIDTH, CELL_HEIGHT, FONT_SIZE = 8.4, 18, 14
MARGIN = 14
FONTS = "font-family=\"'JetBrains Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace\""
BACKGROUND, FOREGROUND = "#16181d", "#d4d7dd"
PALETTE = (
    *("#2b303b", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4"),
    *("#5c6370", "#ef8991", "#b3d99a", "#f0d197", "#85c3f7", "#d79cea", "#7ccbd5", "#ffffff"),
)
_CUBE = (0, 95, 135, 175, 215, 255)
"""The levels of red, green and blue in xterm's colours 16 to 231."""

DIM = 0.55
BLOCKS = "▁▂▃▄▅▆▇█"
_FLAGS = {1: "bold", 2: "dim", 7: "reverse"}
_FOREGROUNDS = {39: None, **{30 + i: i for i in range(8)}, **{90 + i: 8 + i for i in range(8)}}
_BACKGROUNDS = {49: None, **{40 + i: i for i in range(8)}}
_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_INDEXED = re.compile(r"38;5;([0-9]+)")


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of a cell. Colours have xterm's numbers; None is the terminal's default."""

    foreground: int | None = None
    background: int | None = None
    bold: bool = False
    dim: bool = False
    reverse: bool = False


Cells = list[tuple[str, Attributes]]


def parse(captured: str) -> list[Cells]:
    """Parse a capture into lines of characters with their attributes."""
    attributes = Attributes()
    lines = []
    for line in captured.splitlines():
        cells: Cells = []
        for number, piece in enumerate(_SGR.split(line)):
            if number % 2:
                attributes = apply_sgr(attributes, piece)
            else:
                cells += [(character, attributes) for character in piece]
        lines.append(cells)
    return lines


def apply_sgr(attributes: Attributes, codes: str) -> Attributes:
    """Return the attributes after an SGR sequence."""
    if found := _INDEXED.fullmatch(codes):
        return replace(attributes, foreground=int(found[1]))
    for code in [int(code or 0) for code in codes.split(";")]:
        if code == 0:
            attributes = Attributes()
        elif code in _FLAGS:
            attributes = replace(attributes, **{_FLAGS[code]: True})
        elif code in _FOREGROUNDS:
            attributes = replace(attributes, foreground=_FOREGROUNDS[code])
        elif code in _BACKGROUNDS:
            attributes = replace(attributes, background=_BACKGROUNDS[code])
    return attributes


def svg(lines: list[Cells], columns: int) -> str:
    """Render the lines as SVG, as wide as the number of columns."""
    width = columns * CELL_WIDTH + 2 * MARGIN
    height = len(lines) * CELL_HEIGHT + 2 * MARGIN
    size = f'viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}"'
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-size="{FONT_SIZE}" {FONTS}>',
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
    ]
    for number, cells in enumerate(lines):
        drawn += draw_line(cells, MARGIN, MARGIN + number * CELL_HEIGHT)
    return "\n".join([*drawn, "</svg>", ""])


def draw_line(cells: Cells, left: float, top: float) -> list[str]:
    """Return the elements of one line, beginning at a position in pixels."""
    drawn = []
    x = left
    for (attributes, is_block), run in groupby(
        cells, key=lambda cell: (cell[1], cell[0] in BLOCKS)
    ):
        text = "".join(character for character, _ in run)
        across = sum(max(0, wcwidth(character)) for character in text) * CELL_WIDTH
        foreground, background = _colours(attributes)
        if background != BACKGROUND:
            drawn.append(_box(x, top, across, CELL_HEIGHT, background))
        if is_block:
            drawn += [
                _bar(x + i * CELL_WIDTH, top, BLOCKS.index(character) + 1, foreground)
                for i, character in enumerate(text)
            ]
        elif text.strip():
            drawn.append(_text(x, top, across, text, attributes, foreground))
        x += across
    return drawn


def _colours(attributes: Attributes) -> tuple[str, str]:
    foreground = FOREGROUND if attributes.foreground is None else colour(attributes.foreground)
    background = BACKGROUND if attributes.background is None else colour(attributes.background)
    if attributes.reverse:
        return background, foreground
    return (_mixed(foreground, background) if attributes.dim else foreground), background


def colour(number: int) -> str:
    """Return one of xterm's 256 colours. The first 16 are those of PALETTE."""
    if number < len(PALETTE):
        return PALETTE[number]
    if number >= 232:
        return "#" + 3 * f"{8 + 10 * (number - 232):02x}"
    levels = (_CUBE[(number - 16) // 6**place % 6] for place in (2, 1, 0))
    return "#" + "".join(f"{level:02x}" for level in levels)


def _mixed(foreground: str, background: str) -> str:
    """Return a dim colour, between foreground and background."""
    pairs = [(int(foreground[i : i + 2], 16), int(background[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a * DIM + b * (1 - DIM)):02x}" for a, b in pairs)


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
    )


def _bar(x: float, top: float, eighths: int, colour: str) -> str:
    """Draw a block character as a rectangle, because fonts leave gaps between them."""
    height = CELL_HEIGHT * eighths / 8
    return _box(x, top + CELL_HEIGHT - height, CELL_WIDTH + 0.1, height, colour)


def _text(
    x: float, top: float, across: float, text: str, attributes: Attributes, colour: str
) -> str:
    # Each character has its own x position, so that no font's width can break the columns.
    positions, at = [], x
    for character in text:
        positions.append(f"{at:.1f}")
        at += max(0, wcwidth(character)) * CELL_WIDTH
    weight = ' font-weight="bold"' if attributes.bold else ""
    y = top + CELL_HEIGHT * 0.74
    return (
        f'<text x="{" ".join(positions)}" y="{y:.1f}" fill="{colour}"{weight} xml:space="preserve">'
        f"{escape(text)}</text>"
    )


def main() -> None:
    """Read a capture from standard input, and write SVG to standard output."""
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        sys.exit(f"usage: {sys.argv[0]} COLUMNS")
    sys.stdout.write(svg(parse(sys.stdin.read()), int(sys.argv[1])))


if __name__ == "__main__":
    main()
