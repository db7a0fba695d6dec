"""Measures text in terminal cells, wraps it at blanks, and cuts names in the middle. Pure.

It breaks no word. A blank that must not end a line is written as KEPT_BLANK until the text is
printed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KEPT_BLANK = "\N{NO-BREAK SPACE}"
"""A blank inside a token. core.text.printable escapes it in text from outside."""

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"

CONTINUATION_INDENT = 4
"""Cells before the further lines of a text that is wrapped."""

_TIME = re.compile(
    r"\b\d+[dhm] \d+[hms]\b"  # 3m 12s
    r"|\b\d+ (?:d|h|min|s)\b"  # 3 h
    r"|\b\d{4}-\d\d-\d\d \d\d:\d\d\b",  # 2026-11-22 11:04
    re.ASCII,
)
COMMAND = re.compile(r"`[^`]+`")
"""A command in backticks."""


def keep_whole(text: str) -> str:
    """Return a text as one token, which is not broken at its blanks."""
    return text.replace(" ", KEPT_BLANK)


def cell_width(text: str) -> int:
    """Return the cells that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    # Our own marks take one cell each, so that they alone do not need the tables of wcwidth.
    plain = text.replace(ELLIPSIS, ".").replace(KEPT_BLANK, " ")
    return len(plain) if plain.isascii() else sum(map(character_width, plain))


@lru_cache(maxsize=4096)
def character_width(character: str) -> int:
    """Return the cells of a character: 0, 1 or 2."""
    from wcwidth import wcwidth  # its tables are slow to import, and rarely needed

    return max(0, wcwidth(character))


def longest_word(text: str) -> int:
    """Return the cells of the longest part of a text that is not broken."""
    return max(map(cell_width, text.split(" ")))


def wrap(text: str, cells: int, indent: int = 0) -> list[str]:
    """Split a text at blanks into lines of at most this width. A longer word has its own line.

    indent: cells before each line but the first, or fewer before a word that needs them.
    """
    first, *rest = text.split(" ")
    lines = [first]
    for word in rest:
        longer = f"{lines[-1]} {word}"
        if cell_width(longer) <= cells:
            lines[-1] = longer
        else:
            lines.append(" " * min(indent, max(0, cells - cell_width(word))) + word)
    return lines


def wrap_lines(
    lines: Iterable[str],
    cells: int | None,
    tokens: Iterable[str] = (),
    indent: int = CONTINUATION_INDENT,
) -> list[str]:
    """Wrap lines of text for a terminal of this width; None leaves them as they are.

    Args:
        lines: the texts; each begins a new line.
        cells: the width.
        tokens: what is not broken at its blanks, besides times and commands in backticks.
        indent: cells before the further lines of a text.
    """
    if cells is None:
        return list(lines)
    names = list(tokens)
    wrapped: list[str] = []
    for line in lines:
        text = line
        for token in names:
            text = text.replace(token, keep_whole(token))
        for pattern in (_TIME, COMMAND):
            text = pattern.sub(lambda found: keep_whole(found.group()), text)
        wrapped += [part.replace(KEPT_BLANK, " ").rstrip() for part in wrap(text, cells, indent)]
    return wrapped


def cut_names(names: Sequence[str], cells: int) -> list[str]:
    """Cut the names that are longer than `cells` so that most of them stay distinguishable.

    They are cut in the middle. If that makes two names equal, the cut moves to where the names do
    not differ.
    """
    best: list[str] = []
    if all(len(name) <= cells for name in names):
        return list(names)
    for head in sorted(range(cells), key=lambda head: abs(head - cells // 2)):
        cut = [_cut(name, head, cells) for name in names]
        if len(set(cut)) > len(set(best)):
            best = cut
        if len(set(best)) == len(set(names)):
            break
    return best


def are_distinguishable(names: Sequence[str], cells: int) -> bool:
    """Return whether different names still differ when they are cut to a width."""
    return len(set(cut_names(names, cells))) == len(set(names))


def _cut(name: str, head: int, cells: int) -> str:
    """Return a name of ASCII with an ellipsis behind its first `head` characters."""
    if len(name) <= cells:
        return name
    tail = cells - head - 1
    return name[:head] + ELLIPSIS + name[len(name) - tail :]
