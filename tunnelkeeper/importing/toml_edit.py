"""Insertion of imported tables into the text of a config file. All other text is kept.

Pure: text in, text out. The caller validates the result.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from itertools import pairwise

from tunnelkeeper.config.line_numbers import line_numbers
from tunnelkeeper.importing.toml_text import IMPORT_COMMENT


class NotATableError(ValueError):
    """The tunnel to replace is not written as one table."""


def append_text(text: str, addition: str) -> str:
    """Return the text followed by an empty line and the addition."""
    if not text.strip():
        return text + addition
    return f"{text}{'' if text.endswith(chr(10)) else chr(10)}\n{addition}"


def replace_table(text: str, name: str, table: str) -> str:
    """Return the text with a tunnel's table replaced by another one and its comments.

    Comments above the old table are kept, except those of an import.
    Raises NotATableError if the tunnel is not written as one table.
    """
    lines = text.split("\n")
    spans = _find_table_spans(text, lines, name)
    if not spans:
        raise NotATableError(f"{name!r} does not have its own table [tunnels.NAME]")
    for start, end in reversed(spans[1:]):
        del lines[start:end]
    start, end = spans[0]
    lines[_find_import_comment(lines, start) : end] = table.rstrip("\n").split("\n")
    return "\n".join(lines)


def _find_table_spans(text: str, lines: list[str], name: str) -> list[tuple[int, int]]:
    """Return the line ranges of a tunnel's table and its subtables. The end is exclusive."""
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
        if _is_table_of(lines[start], name):
            end = following
            while end > start + 1 and lines[end - 1].lstrip()[:1] in {"", "#"}:
                end -= 1
            spans.append((start, end))
    return spans


def _is_table_of(header: str, name: str) -> bool:
    match tomllib.loads(header.strip()):
        case {"tunnels": Mapping() as tunnels}:
            return name in tunnels
    return False


def _find_import_comment(lines: list[str], header: int) -> int:
    """Return the first line of the import comments directly above a header."""
    start = header
    while start > 0 and lines[start - 1].startswith("#"):
        start -= 1
    starts = [at for at in range(start, header) if lines[at].startswith(IMPORT_COMMENT)]
    return starts[0] if starts else header
