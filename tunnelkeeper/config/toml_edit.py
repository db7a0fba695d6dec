"""Edits of the tables of tunnels in the text of a config file. All other text is kept.

Pure: text in, text out. The text has to be valid TOML; the caller validates the result.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from tunnelkeeper.config.line_numbers import Statement, statements

if TYPE_CHECKING:
    from collections.abc import Collection

SCHEMA_COMMENT = "#:schema "
"""The start of the comment that names the schema of a file, for editors. It belongs to no table."""

Span = tuple[int, int]
"""A range of lines, from 0. The end is exclusive."""


class NotATableError(ValueError):
    """The tunnel to replace or remove is not written as tables or keys of its own."""


def append_text(text: str, addition: str) -> str:
    """Return the text followed by an empty line and the addition."""
    if not text.strip():
        return text + addition
    return f"{text}{'' if text.endswith(chr(10)) else chr(10)}\n{addition}"


def replace_table(text: str, name: str, table: str, own_comment: str) -> str:
    """Return the text with a tunnel's table replaced by another one and its comments.

    own_comment: the start of a comment that belongs to the old table. That comment and those below
    it go; the others above the table are kept.
    Raises NotATableError if the tunnel is not written as one table.
    """
    lines = text.split("\n")
    spans = _table_spans(statements(text), name)
    if not spans:
        raise NotATableError(f"{name!r} does not have its own table [tunnels.NAME]")
    for start, end in reversed(spans[1:]):
        del lines[start:end]
    start, end = spans[0]
    lines[_find_own_comment(lines, start, own_comment) : end] = table.rstrip("\n").split("\n")
    return "\n".join(lines)


def remove_tunnels(text: str, names: Collection[str]) -> str:
    """Return the text without these tunnels, and without the comments directly above or in them.

    Raises NotATableError if a tunnel is part of an inline table with others.
    """
    found = statements(text)
    spans: set[Span] = set()
    for name in names:
        own = [*_table_spans(found, name), *_key_spans(found, name)]
        if not own:
            raise NotATableError(f"{name!r} is inside an inline table")
        spans.update(own)
    lines = text.split("\n")
    for start, end in reversed(_with_comments(lines, found, spans)):
        _delete(lines, start, end)
    return "\n".join(lines)


def _table_spans(found: list[Statement], name: str) -> list[Span]:
    """Return the lines of a tunnel's table and of its subtables, to the last key of each."""
    headers = [index for index, each in enumerate(found) if each.is_header]
    return [
        (found[start].first - 1, found[end - 1].last)
        for start, end in pairwise([*headers, len(found)])
        if found[start].path[:2] == ("tunnels", name)
    ]


def _key_spans(found: list[Statement], name: str) -> list[Span]:
    """Return the lines of a tunnel's keys outside its tables: `db.host = ...` or `db = {...}`."""
    spans = []
    is_in_own_table = False
    for each in found:
        is_own = each.path[:2] == ("tunnels", name)
        if each.is_header:
            is_in_own_table = is_own
        elif is_own and not is_in_own_table:
            spans.append((each.first - 1, each.last))
    return spans


def _with_comments(lines: list[str], found: list[Statement], spans: set[Span]) -> list[Span]:
    """Return spans, in their order, with the comments that belong to them."""
    starts = {each.first - 1 for each in found}
    ends = {0, *(each.last for each in found)}
    return [
        (_start_of_comments(lines, start, ends), _end_of_comments(lines, end, starts))
        for start, end in sorted(spans)
    ]


def _start_of_comments(lines: list[str], start: int, ends: set[int]) -> int:
    """Return the first of the comment lines directly above a line. ends: of what is no comment."""
    while start not in ends and lines[start - 1].lstrip().startswith("#"):
        if lines[start - 1].startswith(SCHEMA_COMMENT):
            break
        start -= 1
    return start


def _end_of_comments(lines: list[str], end: int, starts: set[int]) -> int:
    """Return the end of the comment lines directly below, unless they are those of what follows.

    starts: of what is no comment.
    """
    after = end
    while after < len(lines) and lines[after].lstrip().startswith("#"):
        after += 1
    return end if after in starts else after


def _delete(lines: list[str], start: int, end: int) -> None:
    """Delete lines, and the empty lines that would separate nothing then."""
    is_separated_above = start == 0 or not lines[start - 1].strip()
    while end < len(lines) and not lines[end].strip() and is_separated_above:
        end += 1
    del lines[start:end]
    if not any(line.strip() for line in lines[start:]):  # nothing follows
        del lines[start:]
        while lines and not lines[-1].strip():
            lines.pop()
        if lines:
            lines.append("")


def _find_own_comment(lines: list[str], header: int, own_comment: str) -> int:
    """Return the first line of the table's own comments directly above a header."""
    start = header
    while start > 0 and lines[start - 1].startswith("#"):
        start -= 1
    starts = [at for at in range(start, header) if lines[at].startswith(own_comment)]
    return starts[0] if starts else header
