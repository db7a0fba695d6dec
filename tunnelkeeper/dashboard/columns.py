"""The columns of the table: which of them fit into a width, and how wide each is; pure."""

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
    """One column. rank: the first to go where there is no room has the highest.

    natural: its cells where there is room enough; 0: as its texts are.
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
"""Cells before the first column: whether a tunnel is marked, the sign of its state, a blank."""

FLEXIBLE = ("name", "host", "forwards", "failure")
GAP = 1
WIDE_GAP = 2
"""Cells before a column of text, which would else run into a number."""

COMFORTABLE_WIDTHS = {"host": 24, "forwards": 28, "failure": 18}
"""Cells in which most of what these columns say can be read."""

MAX_TRAFFIC_EXTRA = 22
"""Cells that the curves may have beyond their width: half a minute in all."""


def fit_columns(preferred: dict[str, int], cells: int) -> list[tuple[Column, int]]:
    """Columns and widths for so many cells; natural: how wide the flexible ones want to be."""
    wanted = {c.key: c.fixed_width or max(preferred[c.key], len(c.title)) for c in COLUMNS}
    columns = _select_columns(wanted, cells)
    widths = {column.key: min(column.min_width, wanted[column.key]) for column in columns}
    spare = cells - _total_gaps(columns) - sum(widths.values())
    # One row with a long text shall not take what all others need.
    enough = {key: min(width, COMFORTABLE_WIDTHS.get(key, width)) for key, width in wanted.items()}
    for goal in (enough, wanted):
        while spare > 0:  # whoever lacks most grows first
            key = max(widths, key=lambda each: goal[each] - widths[each])
            if widths[key] >= goal[key]:
                break
            widths[key] += 1
            spare -= 1
    if spare > 0 and "traffic" in widths:  # what nobody needs makes the curves longer
        widths["traffic"] += min(spare, MAX_TRAFFIC_EXTRA)
    return [(column, widths[column.key]) for column in columns]


def _select_columns(wanted: dict[str, int], cells: int) -> list[Column]:
    """The columns whose least widths fit; the least important go first.

    The state's name, which its sign says already, stays only where nobody else wants its place.
    """
    columns = list(COLUMNS)
    if sum(wanted.values()) + _total_gaps(columns) > cells:
        columns = [column for column in COLUMNS if column.key != "state"]
    while len(columns) > 2:
        least = sum(min(column.min_width, wanted[column.key]) for column in columns)
        if least + _total_gaps(columns) <= cells:
            break
        columns.remove(max(columns, key=lambda column: column.drop_priority))
    return columns


def _total_gaps(columns: Sequence[Column]) -> int:
    return LEFT_MARGIN + sum(gap_before(column) for column in columns[1:])


def gap_before(column: Column) -> int:
    """Blanks between a column and the one before it."""
    return GAP if column.is_number else WIDE_GAP


def render_heading(columns: Sequence[tuple[Column, int]], ui_state: UiState, cells: int) -> Line:
    """The titles; the one that is sorted by stands out."""
    line: Line = [("class:heading", " " * LEFT_MARGIN)]
    for index, (column, room) in enumerate(columns):
        is_sorted = column.sort_key is not None and ui_state.sorting.key == column.sort_key
        style = "class:heading.sorted" if is_sorted else "class:heading"
        put = align_right if column.is_number else align_left
        gap = gap_before(column) if index else 0
        line += [("class:heading", " " * gap), (style, put(column.title, room, ""))]
    return fit_line(line, cells, "")


def find_column(columns: Sequence[tuple[Column, int]], x: int) -> Column | None:
    """The column whose title was clicked at."""
    end = LEFT_MARGIN
    for index, (column, room) in enumerate(columns):
        end += room + (gap_before(column) if index else 0)
        if x < end:
            return column
    return None
