"""The columns of the table: which of them fit into a width, and how wide each is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.text_width import Line, align_left, align_right, fit_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.dashboard.filter_sort import SortKey
    from tunnelkeeper.dashboard.ui_state import UiState


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table.

    Attributes:
        drop_priority: the column with the highest one is dropped first on a narrow screen.
        min_width: cells without which the column is dropped.
        fixed_width: cells that the column gets if there is room. 0: as many as its texts need.
        sort_key: what a click on the title sorts by.
    """

    key: str
    title: str
    drop_priority: int
    min_width: int
    fixed_width: int = 0
    is_number: bool = False
    sort_key: SortKey | None = None


COLUMNS = (
    Column("name", "NAME", 0, 8, sort_key="name"),
    Column("state", "STATE", 6, 10, 10, sort_key="state"),
    Column("host", "HOST", 4, 14, sort_key="host"),
    Column("forwards", "FORWARDS", 5, 16, sort_key="forwards"),
    Column("since", "SINCE", 0, 7, 7, is_number=True, sort_key="since"),
    Column("rtt", "RTT", 2, 6, 6, is_number=True, sort_key="rtt"),
    Column("in", "IN/s", 1, 5, 5, is_number=True, sort_key="in"),
    Column("out", "OUT/s", 1, 5, 5, is_number=True, sort_key="out"),
    Column("traffic", "TRAFFIC", 7, 8, 8),
    Column("open", "OPEN", 3, 4, 4, is_number=True, sort_key="open"),
    Column("restarts", "RST", 8, 3, 3, is_number=True, sort_key="restarts"),
    Column("failure", "LAST FAILURE", 3, 12, sort_key="failure"),
)
LEFT_MARGIN = 3
"""Cells before the first column: the mark, the glyph of the state, a blank."""

FLEXIBLE = ("name", "host", "forwards", "failure")
"""Keys of the columns that are as wide as their texts."""

GAP = 1
WIDE_GAP = 2
"""Cells before a column of text, which would otherwise run into a number."""

COMFORTABLE_WIDTHS = {"host": 24, "forwards": 28, "failure": 18}
"""Cells that show most of the texts of these columns."""

MAX_TRAFFIC_EXTRA = 22
"""Maximum cells added to the traffic column: half a minute of traffic in all."""


def fit_columns(preferred: dict[str, int], cells: int) -> list[tuple[Column, int]]:
    """Return the columns that fit into `cells`, with their widths.

    Args:
        preferred: widths of the FLEXIBLE columns' longest texts.
        cells: the width of the screen.
    """
    wanted = {c.key: c.fixed_width or max(preferred[c.key], len(c.title)) for c in COLUMNS}
    columns = _select_columns(wanted, cells)
    widths = {column.key: min(column.min_width, wanted[column.key]) for column in columns}
    spare = cells - _total_gaps(columns) - sum(widths.values())
    # One row with a long text must not take the room that all other columns need.
    enough = {key: min(width, COMFORTABLE_WIDTHS.get(key, width)) for key, width in wanted.items()}
    for goal in (enough, wanted):
        while spare > 0:  # the column that lacks most cells grows first
            key = max(widths, key=lambda candidate: goal[candidate] - widths[candidate])
            if widths[key] >= goal[key]:
                break
            widths[key] += 1
            spare -= 1
    if spare > 0 and "traffic" in widths:  # unused cells make the sparklines longer
        widths["traffic"] += min(spare, MAX_TRAFFIC_EXTRA)
    return [(column, widths[column.key]) for column in columns]


def _select_columns(wanted: dict[str, int], cells: int) -> list[Column]:
    """Return the columns whose minimum widths fit. The least important ones are dropped first.

    The state's name repeats what its glyph shows, so it stays only if all other columns have their
    full widths.
    """
    columns = list(COLUMNS)
    if sum(wanted.values()) + _total_gaps(columns) > cells:
        columns = [column for column in COLUMNS if column.key != "state"]
    while len(columns) > 2:
        min_width = sum(min(column.min_width, wanted[column.key]) for column in columns)
        if min_width + _total_gaps(columns) <= cells:
            break
        columns.remove(max(columns, key=lambda column: column.drop_priority))
    return columns


def _total_gaps(columns: Sequence[Column]) -> int:
    """Return the cells that belong to no column."""
    return LEFT_MARGIN + sum(gap_before(column) for column in columns[1:])


def gap_before(column: Column) -> int:
    """Return the cells between a column and the previous one."""
    return GAP if column.is_number else WIDE_GAP


def render_heading(columns: Sequence[tuple[Column, int]], ui_state: UiState, cells: int) -> Line:
    """Return the line of titles. The title of the sorted column stands out."""
    line: Line = [("class:heading", " " * LEFT_MARGIN)]
    for index, (column, width) in enumerate(columns):
        is_sorted = column.sort_key is not None and ui_state.sorting.key == column.sort_key
        style = "class:heading.sorted" if is_sorted else "class:heading"
        align = align_right if column.is_number else align_left
        gap = gap_before(column) if index else 0
        line += [("class:heading", " " * gap), (style, align(column.title, width, ""))]
    return fit_line(line, cells, "")


def find_column(columns: Sequence[tuple[Column, int]], x: int) -> Column | None:
    """Return the column at a position of the screen, or None right of the last column."""
    end = LEFT_MARGIN
    for index, (column, width) in enumerate(columns):
        end += width + (gap_before(column) if index else 0)
        if x < end:
            return column
    return None
