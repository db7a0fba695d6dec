"""Tables in Markdown for a page, and in aligned columns for a terminal; prints nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

Row = dict[str, str]
"""A row of a table in Markdown: its cells by the headers of their columns."""


def markdown(
    head: Sequence[str], rows: Iterable[Sequence[str]], to_the_right: Container[str] = ()
) -> str:
    """Format rows as a Markdown table. to_the_right: the headers of right-aligned columns."""
    rule = ["---:" if header in to_the_right else "---" for header in head]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format rows as aligned columns."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def read_tables(page: str, heading: str) -> list[Row]:
    """Return the rows of all tables below a heading, up to the next heading of any level.

    Raises ValueError if the page has no such heading.
    """
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", page, re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise ValueError(f"the page has no heading {heading!r}")
    rows: list[Row] = []
    head: list[str] = []
    prose = re.sub(r"^```.*?^```$", "", found[1], flags=re.MULTILINE | re.DOTALL)
    for line in prose.splitlines():
        if not line.startswith("|"):
            head = []
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not head:
            head = cells
        elif not re.fullmatch("[-: |]+", line):
            rows.append(dict(zip(head, cells, strict=True)))
    return rows
