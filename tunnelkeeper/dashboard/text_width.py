"""Text measured in terminal cells: its width, cut and filled to a width. Pure."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from wcwidth import wcwidth

from tunnelkeeper.core.text import printable

Fragment = tuple[str, str]
Line = list[Fragment]

LIMIT = 10_000
"""Characters of a text from outside that are looked at; failures and log lines are far shorter."""


@lru_cache(maxsize=4096)
def safe(text: str) -> str:
    """A text from outside that no terminal shows with another width than `width` says.

    Escaped as for a log; accents are joined with their letters, and what else takes no cell of
    its own (marks that terminals disagree about, joiners of emoji) is left out.
    """
    if text.isascii():
        return printable(text, LIMIT)
    joined = unicodedata.normalize("NFC", printable(text, LIMIT))
    return "".join(character for character in joined if wcwidth(character) > 0)


def width(text: str) -> int:
    """Cells of a text that went through `safe`, or is our own."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


@lru_cache(maxsize=4096)
def _cells_of(character: str) -> int:
    return max(0, wcwidth(character))


def cut(text: str, cells: int, ellipsis: str) -> str:
    """The text, or as much of its beginning as fits with an ellipsis behind it."""
    if width(text) <= cells:
        return text
    room = cells - width(ellipsis)
    if room < 0:
        return ""
    kept, used = [], 0
    for character in text:
        used += _cells_of(character)
        if used > room:
            break
        kept.append(character)
    return "".join(kept) + ellipsis


def left(text: str, cells: int, ellipsis: str) -> str:
    """Cut and filled with blanks behind."""
    short = cut(text, cells, ellipsis)
    return short + " " * (cells - width(short))


def right(text: str, cells: int, ellipsis: str) -> str:
    """Cut and filled with blanks before."""
    short = cut(text, cells, ellipsis)
    return " " * (cells - width(short)) + short


def line_width(line: Line) -> int:
    """Cells of a line."""
    return sum(width(text) for _, text in line)


def fitted(line: Line, cells: int, ellipsis: str) -> Line:
    """A line cut and filled to exactly so many cells."""
    fitting: Line = []
    room = cells
    for style, text in line:
        short = cut(text, room, ellipsis)
        if short:
            fitting.append((style, short))
            room -= width(short)
        if short != text:
            break
    if room > 0:
        fitting.append(("", " " * room))
    return fitting


def apart(before: Line, after: Line, cells: int, ellipsis: str) -> Line:
    """Two lines as one: the second at the right end, and left out where it does not fit."""
    gap = cells - line_width(before) - line_width(after)
    if gap < 1:
        return fitted(before, cells, ellipsis)
    return [*before, ("", " " * gap), *after]


def wrapped(text: str, cells: int) -> list[str]:
    """A text in lines of at most so many cells, broken at blanks where that is possible."""
    lines: list[str] = []
    current = ""
    for word in text.split(" "):
        longer = f"{current} {word}" if current else word
        if width(longer) <= cells:
            current = longer
            continue
        if current:
            lines.append(current)
        *full, current = _pieces(word, cells)
        lines += full
    return [*lines, current]


def _pieces(word: str, cells: int) -> list[str]:
    """A word cut hard; never empty, and a character that is wider than all cells stands alone."""
    pieces = [""]
    for character in word:
        if pieces[-1] and width(pieces[-1] + character) > cells:
            pieces.append("")
        pieces[-1] += character
    return pieces
