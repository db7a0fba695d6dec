"""Measures text in terminal cells, and cuts, pads and wraps it to a width. Pure."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from wcwidth import wcwidth

from tunnelkeeper.core.text import printable
from tunnelkeeper.presentation.text_layout import (
    COMMAND,
    KEPT_BLANK,
    cell_width,
    character_width,
    keep_whole,
)

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

Fragment = tuple[str, str]
Line = list[Fragment]

MAX_LENGTH = 10_000
"""Maximum characters of a text from outside. Failures and log lines are far shorter."""


@lru_cache(maxsize=4096)
def printable_text(text: str) -> str:
    """Return a text from outside in a form whose width every terminal agrees on.

    Control characters are escaped as in the log. Combining accents are composed with their letters
    (NFC). Other characters without a cell of their own are dropped: combining marks that terminals
    treat differently, and the joiners of emoji sequences.
    """
    if text.isascii():
        return printable(text, MAX_LENGTH)
    composed = unicodedata.normalize("NFC", printable(text, MAX_LENGTH))
    return "".join(character for character in composed if wcwidth(character) > 0)


def truncate(text: str, cells: int, ellipsis: str) -> str:
    """Return the text, or as much of its start as fits in front of an ellipsis."""
    if cell_width(text) <= cells:
        return text
    room = cells - cell_width(ellipsis)
    if room < 0:
        return ""
    kept, used = [], 0
    for character in text:
        used += character_width(character)
        if used > room:
            break
        kept.append(character)
    return "".join(kept) + ellipsis


def truncate_middle(text: str, cells: int, ellipsis: str) -> str:
    """Return the text, or its start and its end with an ellipsis between them."""
    if cell_width(text) <= cells:
        return text
    room = cells - cell_width(ellipsis)
    start = truncate(text, (room + 1) // 2, "")
    end = truncate(text[::-1], room - cell_width(start), "")[::-1]
    return truncate(start + ellipsis + end, cells, "")


def shorten(texts: Sequence[str], cells: int, ellipsis: str) -> list[str]:
    """Cut the texts of a column so that they still differ.

    They are cut in the middle if their ends differ, such as those of `eu-west-db-primary` and
    `eu-west-db-replica`, and at the end otherwise.
    """
    long_texts = {text for text in texts if cell_width(text) > cells}
    if not long_texts:
        return list(texts)
    ends = {truncate(text[::-1], cells // 2, "") for text in long_texts}
    at_end = {truncate(text, cells, ellipsis) for text in long_texts}
    cut = truncate if len(ends) < len(at_end) else truncate_middle
    return [cut(text, cells, ellipsis) for text in texts]


def align_left(text: str, cells: int, ellipsis: str) -> str:
    """Truncate a text, and pad it on the right to exactly this width."""
    short = truncate(text, cells, ellipsis)
    return short + " " * (cells - cell_width(short))


def align_right(text: str, cells: int, ellipsis: str) -> str:
    """Truncate a text, and pad it on the left to exactly this width."""
    short = truncate(text, cells, ellipsis)
    return " " * (cells - cell_width(short)) + short


def line_width(line: Line) -> int:
    """Return the cells of a line."""
    return sum(cell_width(text) for _, text in line)


def fit_line(line: Line, cells: int, ellipsis: str) -> Line:
    """Truncate or pad a line to exactly this width."""
    fitted: Line = []
    room = cells
    for style, text in line:
        short = truncate(text, room, ellipsis)
        if short:
            fitted.append((style, short))
            room -= cell_width(short)
        if short != text:
            break
    if room > 0:
        fitted.append(("", " " * room))
    return fitted


def spread(left: Line, right: Line, cells: int, ellipsis: str) -> Line:
    """Join two lines, one at each end. The right one is left out if it does not fit."""
    gap = cells - line_width(left) - line_width(right)
    if gap < 1:
        return fit_line(left, cells, ellipsis)
    return [*left, ("", " " * gap), *right]


def wrap(text: str, cells: int) -> list[str]:
    """Split a text into lines of at most this width, at blanks if possible.

    A command in backticks is not broken, so that it can be copied, if a line has room for it.
    """

    def kept(command: re.Match[str]) -> str:
        return keep_whole(command[0]) if cell_width(command[0]) <= cells else command[0]

    lines: list[str] = []
    current = ""
    for word in COMMAND.sub(kept, text).split(" "):
        longer = f"{current} {word}" if current else word
        if cell_width(longer) <= cells:
            current = longer
            continue
        if current:
            lines.append(current)
        *full_lines, current = _split_word(word, cells)
        lines += full_lines
    return [line.replace(KEPT_BLANK, " ") for line in (*lines, current)]


def flow(fragments: Line, cells: int, gap: int = 2) -> list[Line]:
    """Put fragments beside each other, and on a new line where one does not fit.

    A fragment that is longer than a line is wrapped. Empty ones are left out.
    """
    lines: list[Line] = [[]]
    for style, text in fragments:
        space = gap if lines[-1] else 0
        if not text.strip():
            continue
        if line_width(lines[-1]) + space + cell_width(text.rstrip()) <= cells:
            lines[-1] += [("", " " * space), (style, text)]
            continue
        pieces: list[Line] = [[(style, piece)] for piece in wrap(text.rstrip(), cells)]
        lines = [*lines, *pieces] if lines[-1] else pieces
    return lines


def _split_word(word: str, cells: int) -> list[str]:
    """Split a long word anywhere. Return at least one piece.

    A character that is wider than `cells` becomes a piece of its own.
    """
    pieces = [""]
    for character in word:
        if pieces[-1] and cell_width(pieces[-1] + character) > cells:
            pieces.append("")
        pieces[-1] += character
    return pieces
