"""The results as a table for a terminal or in Markdown; nothing is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from benchmarks.rows import Better
from benchmarks.statistics import median
from docs import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.report import Check, Comparison

COMPARED = (
    "what",
    "tunnelkeeper",
    "other",
    "against",
    "ratio",
    "min .. max",
    "required",
    "aim",
    "",
)
CHECKED = ("what", "found", "at most", "how much", "")
RIGHT_ALIGNED = frozenset({"tunnelkeeper", "other", "ratio", "required", "aim", "found", "at most"})
COLOURS = {"met, aim too": "green", "met": "green", "missed": "bold red"}

Cells = tuple[str, ...]


def comparison_cells(comparison: Comparison) -> Cells:
    """Return the cells of a comparison, one for each header of COMPARED."""
    row, ratio = comparison.row, comparison.ratio
    sign = "≥" if row.better is Better.MORE else "≤"
    return (
        row.what,
        f"{figure(median(comparison.ours))} {row.unit}",
        f"{figure(median(comparison.theirs))} {row.unit}",
        row.against,
        figure(ratio.median),
        f"{figure(ratio.least)} .. {figure(ratio.most)}",
        f"{sign} {goal(row.required)}",
        f"{sign} {goal(row.aim)}",
        comparison.verdict,
    )


def check_cells(check: Check) -> Cells:
    """Return the cells of a check, one for each header of CHECKED."""
    limit = check.limit
    return (
        limit.what,
        f"{figure(check.value)} {limit.unit}",
        f"{goal(limit.most)} {limit.unit}",
        check.detail,
        check.verdict,
    )


def figure(value: float) -> str:
    """Format a number with three significant digits: 1050, 83.1, 0.92, 0.0341."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3g}"


def goal(value: float) -> str:
    """Format a bound; small ones as a fraction."""
    return f"1/{1 / value:.0f}" if 0 < value < 0.1 else f"{value:g}"


def drawn(headers: Sequence[str], rows: Sequence[Cells]) -> Table:
    """Return a table for a rich console; the last cell is the verdict."""
    table = Table(box=None, pad_edge=False)
    for header in headers:
        table.add_column(header, justify="right" if header in RIGHT_ALIGNED else "left")
    for cells in rows:
        *plain, verdict = cells
        # Text, not str: rich would interpret [brackets] as markup.
        table.add_row(*map(Text, plain), Text(verdict, COLOURS[verdict]))
    return table


def markdown(headers: Sequence[str], rows: Sequence[Cells]) -> str:
    """Format rows as a Markdown table with missed verdicts in bold."""
    marked = ([*cells[:-1], _marked(cells[-1])] for cells in rows)
    return tables.markdown(headers, marked, RIGHT_ALIGNED)


def _marked(verdict: str) -> str:
    return f"**{verdict}**" if verdict == "missed" else verdict
