"""The columns of the table: which of them fit into a width, and how wide each is; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.text_width import Line, fitted, left, right

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
    rank: int
    least: int
    natural: int = 0
    is_number: bool = False
    sort: SortKey | None = None


COLUMNS = (
    Column("name", "NAME", 0, 8, sort="name"),
    Column("state", "STATE", 6, 10, 10, sort="state"),
    Column("host", "HOST", 4, 14, sort="host"),
    Column("forwards", "FORWARDS", 5, 16, sort="forwards"),
    Column("since", "SINCE", 0, 7, 7, is_number=True, sort="since"),
    Column("rtt", "RTT", 2, 6, 6, is_number=True, sort="rtt"),
    Column("in", "IN/s", 1, 5, 5, is_number=True, sort="in"),
    Column("out", "OUT/s", 1, 5, 5, is_number=True, sort="out"),
    Column("traffic", "TRAFFIC", 7, 8, 8),
    Column("open", "OPEN", 3, 4, 4, is_number=True, sort="open"),
    Column("restarts", "RST", 8, 3, 3, is_number=True, sort="restarts"),
    Column("failure", "LAST FAILURE", 3, 12, sort="failure"),
)
EDGE = 3
"""Cells before the first column: whether a tunnel is marked, the sign of its state, a blank."""

FLEXIBLE = ("name", "host", "forwards", "failure")
GAP = 1
WIDE_GAP = 2
"""Cells before a column of text, which would else run into a number."""

COMFORT = {"host": 24, "forwards": 28, "failure": 18}
"""Cells in which most of what these columns say can be read."""

LONGER_CURVES = 22
"""Cells that the curves may have beyond their width: half a minute in all."""


def fit(natural: dict[str, int], cells: int) -> list[tuple[Column, int]]:
    """Columns and widths for so many cells; natural: how wide the flexible ones want to be."""
    wanted = {c.key: c.natural or max(natural[c.key], len(c.title)) for c in COLUMNS}
    chosen = _chosen(wanted, cells)
    widths = {column.key: min(column.least, wanted[column.key]) for column in chosen}
    spare = cells - _gaps(chosen) - sum(widths.values())
    # One row with a long text shall not take what all others need.
    enough = {key: min(width, COMFORT.get(key, width)) for key, width in wanted.items()}
    for goal in (enough, wanted):
        while spare > 0:  # whoever lacks most grows first
            key = max(widths, key=lambda each: goal[each] - widths[each])
            if widths[key] >= goal[key]:
                break
            widths[key] += 1
            spare -= 1
    if spare > 0 and "traffic" in widths:  # what nobody needs makes the curves longer
        widths["traffic"] += min(spare, LONGER_CURVES)
    return [(column, widths[column.key]) for column in chosen]


def _chosen(wanted: dict[str, int], cells: int) -> list[Column]:
    """The columns whose least widths fit; the least important go first.

    The state's name, which its sign says already, stays only where nobody else wants its place.
    """
    chosen = list(COLUMNS)
    if sum(wanted.values()) + _gaps(chosen) > cells:
        chosen = [column for column in COLUMNS if column.key != "state"]
    while len(chosen) > 2:
        least = sum(min(column.least, wanted[column.key]) for column in chosen)
        if least + _gaps(chosen) <= cells:
            break
        chosen.remove(max(chosen, key=lambda column: column.rank))
    return chosen


def _gaps(columns: Sequence[Column]) -> int:
    return EDGE + sum(gap_before(column) for column in columns[1:])


def gap_before(column: Column) -> int:
    """Blanks between a column and the one before it."""
    return GAP if column.is_number else WIDE_GAP


def heading(columns: Sequence[tuple[Column, int]], view: UiState, cells: int) -> Line:
    """The titles; the one that is sorted by stands out."""
    line: Line = [("class:heading", " " * EDGE)]
    for index, (column, room) in enumerate(columns):
        is_sorted = column.sort is not None and view.sorting.key == column.sort
        style = "class:heading.sorted" if is_sorted else "class:heading"
        put = right if column.is_number else left
        gap = gap_before(column) if index else 0
        line += [("class:heading", " " * gap), (style, put(column.title, room, ""))]
    return fitted(line, cells, "")


def column_at(columns: Sequence[tuple[Column, int]], x: int) -> Column | None:
    """The column whose title was clicked at."""
    end = EDGE
    for index, (column, room) in enumerate(columns):
        end += room + (gap_before(column) if index else 0)
        if x < end:
            return column
    return None
