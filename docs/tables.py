"""Tables in Markdown for a page, and in aligned columns for a terminal; prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence


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
