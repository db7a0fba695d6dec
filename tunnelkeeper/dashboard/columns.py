"""The columns of the table: which of them fit into a width, and how wide each is. Pure.

The widths follow the rows on the screen. A column that is empty in all of them takes no space.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.text_width import Line, align_left, align_right, fit_line
from tunnelkeeper.presentation.text_layout import cell_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tunnelkeeper.dashboard.filter_sort import SortKey


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table.

    Attributes:
        width: cells of a column whose texts change often, so that it does not change its width with
            them. 0: as many as the texts need.
        min_width: cells below which a text is no longer useful.
        reserved: cells that it has as soon as it has a text, so that it does not jump.
        gap: cells before the column. A column of numbers needs fewer, unless it follows a text.
        sort_key: what a click on the title sorts by.
    """

    key: str
    title: str
    width: int = 0
    min_width: int = 0
    reserved: int = 0
    is_number: bool = False
    gap: int = 2
    sort_key: SortKey | None = None


COLUMNS = (
    Column("name", "NAME", min_width=8, sort_key="name"),
    Column("state", "STATE", 10, sort_key="state"),
    Column("host", "HOST", min_width=12, sort_key="host"),
    Column("forwards", "FORWARDS", min_width=8, sort_key="forwards"),
    Column("since", "SINCE", 7, is_number=True, sort_key="since"),
    Column("rtt", "RTT", 6, is_number=True, gap=1, sort_key="rtt"),
    Column("in", "IN/s", 5, is_number=True, gap=1, sort_key="in"),
    Column("out", "OUT/s", 5, is_number=True, gap=1, sort_key="out"),
    Column("traffic", "TRAFFIC", 8),
    Column("open", "OPEN", 4, is_number=True, gap=1, sort_key="open"),
    Column("restarts", "RST", 4, is_number=True, gap=1, sort_key="restarts"),
    Column("failure", "REASON", min_width=12, reserved=12, sort_key="failure"),
)
BY_KEY = {column.key: column for column in COLUMNS}

LEFT_MARGIN = 3
"""Cells before the first column: the mark, the glyph of the state, a blank."""

MAX_TRAFFIC_WIDTH = 30
"""Maximum cells of the traffic column: one for each second of half a minute."""

MEMORY = 10.0
"""Seconds for which a column keeps its width although its texts have become shorter."""

UNLIMITED = 1000
SHORTEST, WITHOUT_DETAILS, PREFERRED = 0, -2, -1


@dataclass(frozen=True, slots=True)
class Cell:
    """The content of a row in one column: the same information in several lengths.

    Attributes:
        forms: the texts, the shortest first and the preferred one last. The form before the last
            one leaves out details. Without texts the cell is empty.
    """

    style: str
    forms: tuple[str, ...] = ()

    def width(self, form: int) -> int:
        """Return the cells of a form by its index. 0: the first, -1: the last."""
        return cell_width(self.forms[max(form, -len(self.forms))]) if self.forms else 0


EMPTY = Cell("")


@dataclass(frozen=True, slots=True)
class RowTexts:
    """A row before the widths are known: the line in the left margin, and the cells by column."""

    margin: Line
    cells: Mapping[str, Cell]


@dataclass(slots=True)
class RecentCells:
    """The widest cells of the last seconds, so that columns do not jump while a tunnel reconnects.

    The steps of a connection follow each other within milliseconds, and each has its own width.
    """

    _rows: tuple[str, ...] = ()
    _cells: dict[str, tuple[Cell, float]] = field(default_factory=dict)

    def remember(self, names: tuple[str, ...], rows: Sequence[RowTexts], now: float) -> RowTexts:
        """Return a row of the widest cells. Other rows on the screen begin a new memory.

        Args:
            names: the names of the rows on the screen.
            now: monotonic seconds.
        """
        if names != self._rows:
            self._rows = names
            self._cells.clear()
        for column in COLUMNS:
            current = (row.cells.get(column.key, EMPTY) for row in rows)
            widest = max(current, key=lambda cell: cell.width(PREFERRED), default=EMPTY)
            remembered, seen_at = self._cells.get(column.key, (EMPTY, now))
            is_wider = remembered.width(PREFERRED) > widest.width(PREFERRED)
            if not is_wider or now - seen_at > MEMORY:
                self._cells[column.key] = (widest, now)
        return RowTexts([], {key: cell for key, (cell, _) in self._cells.items()})


@dataclass(frozen=True, slots=True)
class Step:
    """A gain of space: the cells that these columns need to show a form of their texts.

    Attributes:
        limit: maximum cells, so that one long text does not take the room of all other columns.
        fits_half: whether half of the rows must fit, because texts that are cut are of little use.
    """

    keys: tuple[str, ...]
    form: int = PREFERRED
    limit: int = UNLIMITED
    fits_half: bool = False


STEPS = (
    Step(("name",), limit=16),
    Step(("forwards",), SHORTEST, limit=16),
    Step(("forwards",), WITHOUT_DETAILS, limit=24),
    Step(("failure",), SHORTEST, limit=16),
    Step(("host",), SHORTEST, limit=26, fits_half=True),
    Step(("name",), limit=24),
    Step(("forwards",), limit=30),
    Step(("host",), WITHOUT_DETAILS, limit=30),
    Step(("since",)),
    Step(("in", "out")),
    Step(("rtt",)),
    Step(("host",), WITHOUT_DETAILS),
    Step(("forwards",), limit=50),
    Step(("traffic",)),
    Step(("failure",), limit=24),
    Step(("state",)),
    Step(("host",), limit=60),
    Step(("name",)),
    Step(("open",)),
    Step(("restarts",)),
    Step(("host",), SHORTEST),
)
"""Which columns get space first. In a narrower window they lose it in the reverse order."""

LEFTOVER_ORDER = ("name", "forwards", "host", "failure")
"""The columns that get the cells which no step could use, as long as their texts are cut."""


def fit_columns(rows: Sequence[RowTexts], cells: int) -> list[tuple[Column, int]]:
    """Return the columns that fit into `cells`, with their widths.

    rows: the ones on the screen.
    """
    widths: dict[str, int] = {}
    spare = cells - LEFT_MARGIN
    for step in STEPS:
        cost, wider = _take(step, rows, widths, spare)
        widths |= wider
        spare -= cost
    for key in LEFTOVER_ORDER:
        if key in widths:
            gained = _widen(key, rows, widths[key], spare)
            widths[key] += gained
            spare -= gained
    if "traffic" in widths:
        widths["traffic"] += min(spare, MAX_TRAFFIC_WIDTH - widths["traffic"])
    return [(column, widths[column.key]) for column in COLUMNS if column.key in widths]


def _take(
    step: Step, rows: Sequence[RowTexts], widths: Mapping[str, int], spare: int
) -> tuple[int, dict[str, int]]:
    """Return the cells that a step costs and the new widths; nothing if it does not fit."""
    cost = 0
    wider: dict[str, int] = {}
    for key in step.keys:
        column = BY_KEY[key]
        gap = 0 if key in widths or key == "name" else column.gap
        current = widths.get(key, 0)
        for width in _useful_widths(column, rows, step):
            if width > current and gap + width - current <= spare - cost:
                wider[key] = width
                cost += gap + width - current
                break
    return (cost, wider) if len(wider) == len(step.keys) else (0, {})


def _useful_widths(column: Column, rows: Sequence[RowTexts], step: Step) -> list[int]:
    """Return the widths with which one more row fits, largest first; none for an empty column.

    The smallest one cuts texts.
    """
    row_cells = [row.cells.get(column.key, EMPTY) for row in rows]
    longest = max((cell.width(step.form) for cell in row_cells), default=0)
    if not longest and column.key != "name":
        return []
    if column.width:
        return [column.width]
    least = max(len(column.title), column.reserved, min(column.min_width, longest))
    widths = {min(cell.width(SHORTEST), step.limit) for cell in row_cells}
    widths |= {cell.width(step.form) for cell in row_cells if cell.width(step.form) <= step.limit}
    if step.fits_half:
        least = max(least, sorted(cell.width(SHORTEST) for cell in row_cells)[len(rows) // 2])
        least = min(least, step.limit)
    return sorted({max(least, width) for width in (*widths, 0)}, reverse=True)


def _widen(key: str, rows: Sequence[RowTexts], width: int, spare: int) -> int:
    """Return the cells with which a column cuts fewer texts, or shows a longer form of one."""
    row_cells = [row.cells.get(key, EMPTY) for row in rows]
    most_cut = max((cell.width(SHORTEST) for cell in row_cells), default=0)
    useful = {cell_width(form) for cell in row_cells for form in cell.forms}
    useful.add(min(most_cut, width + spare))
    return max((wider - width for wider in useful if width < wider <= width + spare), default=0)


def render_heading(columns: Sequence[tuple[Column, int]], sort_key: SortKey, cells: int) -> Line:
    """Return the line of titles. The title of the sorted column stands out."""
    line: Line = [("class:heading", " " * LEFT_MARGIN)]
    for index, (column, width) in enumerate(columns):
        is_sorted = column.sort_key == sort_key
        style = "class:heading.sorted" if is_sorted else "class:heading"
        align = align_right if column.is_number else align_left
        gap = column.gap if index else 0
        line += [("class:heading", " " * gap), (style, align(column.title, width, ""))]
    return fit_line(line, cells, "")


def find_column(columns: Sequence[tuple[Column, int]], x: int) -> Column | None:
    """Return the column at a position of the screen, or None right of the last column."""
    end = LEFT_MARGIN
    for index, (column, width) in enumerate(columns):
        end += width + (column.gap if index else 0)
        if x < end:
            return column
    return None
