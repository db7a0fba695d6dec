"""Puts imported tables into the text of a config file; all that stands in it stays as it is.

Pure: text in, text out. What the result means is checked by whoever asks for it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from itertools import pairwise

from tunnelkeeper.config.line_numbers import line_numbers
from tunnelkeeper.importing.toml_text import MARK


class NotATableError(ValueError):
    """A tunnel that is to be replaced is written in another way than as one table."""


def appended(text: str, addition: str) -> str:
    """The text with an addition behind it, and an empty line between them."""
    if not text.strip():
        return text + addition
    return f"{text}{'' if text.endswith(chr(10)) else chr(10)}\n{addition}"


def replaced(text: str, name: str, table: str) -> str:
    """The text with another table, comments and all, in place of a tunnel's.

    Comments above the old one stay, but for those of an import. Raises NotATableError.
    """
    lines = text.split("\n")
    spans = _spans(text, lines, name)
    if not spans:
        raise NotATableError(f"{name!r} is not written as a table [tunnels.NAME] of its own")
    for start, end in reversed(spans[1:]):
        del lines[start:end]
    start, end = spans[0]
    lines[_above(lines, start) : end] = table.rstrip("\n").split("\n")
    return "\n".join(lines)


def _spans(text: str, lines: list[str], name: str) -> list[tuple[int, int]]:
    """The lines, from and up to, of a tunnel's table and of the tables in it."""
    headers = sorted(
        {
            number - 1
            for at, number in line_numbers(text).items()
            if all(isinstance(part, str) for part in at)
            and lines[number - 1].lstrip().startswith("[")
        }
    )
    spans = []
    for start, following in pairwise([*headers, len(lines)]):
        if _is_of(lines[start], name):
            end = following
            while end > start + 1 and lines[end - 1].lstrip()[:1] in {"", "#"}:
                end -= 1
            spans.append((start, end))
    return spans


def _is_of(header: str, name: str) -> bool:
    match tomllib.loads(header.strip()):
        case {"tunnels": Mapping() as tunnels}:
            return name in tunnels
    return False


def _above(lines: list[str], header: int) -> int:
    """Where the comments of an import begin that stand directly above a header."""
    start = header
    while start > 0 and lines[start - 1].startswith("#"):
        start -= 1
    marked = [at for at in range(start, header) if lines[at].startswith(MARK)]
    return marked[0] if marked else header
