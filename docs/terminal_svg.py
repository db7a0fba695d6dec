#!/usr/bin/env python3
"""Draws what tmux captured of a terminal as an SVG picture.

    tmux capture-pane -N -e -p | python docs/terminal_svg.py COLUMNS > picture.svg

It knows the attributes that the dashboard uses, SGR of ECMA-48 with the sixteen colours, and no
cursor movements: tmux has done those.
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
DIM = 0.55
BLOCKS = "▁▂▃▄▅▆▇█"
_SWITCHES = {1: "bold", 2: "dim", 7: "reverse"}
_INKS = {39: None, **{30 + i: i for i in range(8)}, **{90 + i: 8 + i for i in range(8)}}
_PAPERS = {49: None, **{40 + i: i for i in range(8)}}
_SGR = re.compile(r"\x1b\[([0-9;]*)m")


@dataclass(frozen=True, slots=True)
class Look:
    """How a cell is drawn; colours are indexes of PALETTE, None for the terminal's own."""

    ink: int | None = None
    paper: int | None = None
    bold: bool = False
    dim: bool = False
    reverse: bool = False


Cells = list[tuple[str, Look]]


def parse(captured: str) -> list[Cells]:
    """The lines of a capture as characters, each with its look."""
    look = Look()
    lines = []
    for line in captured.splitlines():
        cells: Cells = []
        for number, piece in enumerate(_SGR.split(line)):
            if number % 2:
                look = changed(look, piece)
            else:
                cells += [(character, look) for character in piece]
        lines.append(cells)
    return lines


def changed(look: Look, codes: str) -> Look:
    """A look after an SGR sequence."""
    for code in [int(code or 0) for code in codes.split(";")]:
        if code == 0:
            look = Look()
        elif code in _SWITCHES:
            look = replace(look, **{_SWITCHES[code]: True})
        elif code in _INKS:
            look = replace(look, ink=_INKS[code])
        elif code in _PAPERS:
            look = replace(look, paper=_PAPERS[code])
    return look


def svg(lines: list[Cells], columns: int) -> str:
    """The picture: a window as wide as so many columns."""
    width = columns * CELL_WIDTH + 2 * MARGIN
    height = len(lines) * CELL_HEIGHT + 2 * MARGIN
    size = f'viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}"'
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-size="{FONT_SIZE}" {FONTS}>',
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
    ]
    for number, cells in enumerate(lines):
        drawn += _line(cells, MARGIN + number * CELL_HEIGHT)
    return "\n".join([*drawn, "</svg>", ""])


def _line(cells: Cells, top: float) -> list[str]:
    drawn = []
    x = float(MARGIN)
    for (look, is_block), run in groupby(cells, key=lambda cell: (cell[1], cell[0] in BLOCKS)):
        text = "".join(character for character, _ in run)
        across = sum(max(0, wcwidth(character)) for character in text) * CELL_WIDTH
        ink, paper = _colours(look)
        if paper != BACKGROUND:
            drawn.append(_box(x, top, across, CELL_HEIGHT, paper))
        if is_block:
            drawn += [
                _bar(x + i * CELL_WIDTH, top, BLOCKS.index(character) + 1, ink)
                for i, character in enumerate(text)
            ]
        elif text.strip():
            drawn.append(_text(x, top, across, text, look, ink))
        x += across
    return drawn


def _colours(look: Look) -> tuple[str, str]:
    ink = FOREGROUND if look.ink is None else PALETTE[look.ink]
    paper = BACKGROUND if look.paper is None else PALETTE[look.paper]
    if look.reverse:
        return paper, ink
    return (_mixed(ink, paper) if look.dim else ink), paper


def _mixed(ink: str, paper: str) -> str:
    """A dim colour: between ink and paper."""
    pairs = [(int(ink[i : i + 2], 16), int(paper[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a * DIM + b * (1 - DIM)):02x}" for a, b in pairs)


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
    )


def _bar(x: float, top: float, eighths: int, colour: str) -> str:
    """A block character, drawn: fonts leave gaps between them."""
    height = CELL_HEIGHT * eighths / 8
    return _box(x, top + CELL_HEIGHT - height, CELL_WIDTH + 0.1, height, colour)


def _text(x: float, top: float, across: float, text: str, look: Look, colour: str) -> str:
    # Each character has its own place: no font's width can break the columns.
    places, at = [], x
    for character in text:
        places.append(f"{at:.1f}")
        at += max(0, wcwidth(character)) * CELL_WIDTH
    weight = ' font-weight="bold"' if look.bold else ""
    y = top + CELL_HEIGHT * 0.74
    return (
        f'<text x="{" ".join(places)}" y="{y:.1f}" fill="{colour}"{weight} xml:space="preserve">'
        f"{escape(text)}</text>"
    )


def main() -> None:
    """From standard input to standard output."""
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        sys.exit(f"usage: {sys.argv[0]} COLUMNS")
    sys.stdout.write(svg(parse(sys.stdin.read()), int(sys.argv[1])))


if __name__ == "__main__":
    main()
