"""Text measured in terminal cells: its width, cut and filled to a width. Pure."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from wcwidth import wcwidth

from tunnelkeeper.core.text import printable

Fragment = tuple[str, str]
Line = list[Fragment]

MAX_LENGTH = 10_000
"""Characters of a text from outside that are looked at; failures and log lines are far shorter."""


@lru_cache(maxsize=4096)
def printable_text(text: str) -> str:
    """A text from outside that no terminal shows with another width than `width` says.

    Escaped as for a log; accents are joined with their letters, and what else takes no cell of
    its own (marks that terminals disagree about, joiners of emoji) is left out.
    """
    if text.isascii():
        return printable(text, MAX_LENGTH)
    joined = unicodedata.normalize("NFC", printable(text, MAX_LENGTH))
    return "".join(character for character in joined if wcwidth(character) > 0)


def cell_width(text: str) -> int:
    """Cells of a text that went through `safe`, or is our own."""
    return len(text) if text.isascii() else sum(map(_character_width, text))


@lru_cache(maxsize=4096)
def _character_width(character: str) -> int:
    return max(0, wcwidth(character))


def truncate(text: str, cells: int, ellipsis: str) -> str:
    """The text, or as much of its beginning as fits with an ellipsis behind it."""
    if cell_width(text) <= cells:
        return text
    room = cells - cell_width(ellipsis)
    if room < 0:
        return ""
    kept, used = [], 0
    for character in text:
        used += _character_width(character)
        if used > room:
            break
        kept.append(character)
    return "".join(kept) + ellipsis


def align_left(text: str, cells: int, ellipsis: str) -> str:
    """Cut and filled with blanks behind."""
    short = truncate(text, cells, ellipsis)
    return short + " " * (cells - cell_width(short))


def align_right(text: str, cells: int, ellipsis: str) -> str:
    """Cut and filled with blanks before."""
    short = truncate(text, cells, ellipsis)
    return " " * (cells - cell_width(short)) + short


def line_width(line: Line) -> int:
    """Cells of a line."""
    return sum(cell_width(text) for _, text in line)


def fit_line(line: Line, cells: int, ellipsis: str) -> Line:
    """A line cut and filled to exactly so many cells."""
    fitting: Line = []
    room = cells
    for style, text in line:
        short = truncate(text, room, ellipsis)
        if short:
            fitting.append((style, short))
            room -= cell_width(short)
        if short != text:
            break
    if room > 0:
        fitting.append(("", " " * room))
    return fitting


def spread(before: Line, after: Line, cells: int, ellipsis: str) -> Line:
    """Two lines as one: the second at the right end, and left out where it does not fit."""
    gap = cells - line_width(before) - line_width(after)
    if gap < 1:
        return fit_line(before, cells, ellipsis)
    return [*before, ("", " " * gap), *after]


def wrap(text: str, cells: int) -> list[str]:
    """A text in lines of at most so many cells, broken at blanks where that is possible."""
    lines: list[str] = []
    current = ""
    for word in text.split(" "):
        longer = f"{current} {word}" if current else word
        if cell_width(longer) <= cells:
            current = longer
            continue
        if current:
            lines.append(current)
        *full, current = _split_word(word, cells)
        lines += full
    return [*lines, current]


def _split_word(word: str, cells: int) -> list[str]:
    """A word cut hard; never empty, and a character that is wider than all cells stands alone."""
    pieces = [""]
    for character in word:
        if pieces[-1] and cell_width(pieces[-1] + character) > cells:
            pieces.append("")
        pieces[-1] += character
    return pieces
