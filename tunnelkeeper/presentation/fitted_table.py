"""A table that is fitted to a terminal: its columns, their widths, and its lines. Pure.

The caller lists plans, the widest first: which columns the table has, down to the fewest. Words are
never broken. A word that is longer than its column takes more room, and what no longer fits beside
it continues on the next line.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING

from tunnelkeeper.presentation.text_layout import (
    KEPT_BLANK,
    cell_width,
    cut_names,
    longest_word,
    wrap,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Fragment = tuple[str, str]
"""A style, or an empty text, and a text in that style."""

Line = list[Fragment]

GAP = 2
"""Cells between two columns, so that awk can split lines at two blanks."""

INDENT = 2
"""Cells before a line that belongs to the row above it."""

HEADING = "heading"


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of a row in a column.

    lines: each is written on a line of its own, in the longest of its forms that fits. A form that
    does not fit is wrapped at blanks.
    """

    lines: tuple[tuple[str, ...], ...]
    style: str = ""

    def fit(self, cells: int) -> list[str]:
        """Return the lines of the cell in a column of this width."""
        fitted: list[str] = []
        for forms in self.lines:
            form = next((form for form in forms if cell_width(form) <= cells), forms[-1])
            fitted += wrap(form, cells)
        return fitted


def text_cell(text: str, style: str = "") -> Cell:
    """Return a cell with one line, or an empty one."""
    return Cell(((text,),) if text else (), style)


@dataclass(frozen=True, eq=False)
class Column:
    """A column and its cells, one for each row.

    Attributes:
        comfortable: cells that show most texts. Other columns are dropped until it has them.
            0: as many as its longest text needs.
        longest_word: words up to this length fit into the column at any width of the table.
        is_cut: whether texts that do not fit are cut in the middle, as names are.
        reserved: cells that the column has at least on a terminal, so that a text that changes
            every second does not add and drop columns.
    """

    title: str
    cells: Sequence[Cell]
    comfortable: int = 0
    longest_word: int = 20
    is_cut: bool = False
    reserved: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether no row has a text."""
        return not any(cell.lines for cell in self.cells)

    @cached_property
    def full_width(self) -> int:
        """Cells for all texts in their longest forms."""
        widths = [cell_width(forms[0]) for cell in self.cells for forms in cell.lines]
        return max([len(self.title), *widths])

    @cached_property
    def least_width(self) -> int:
        """Cells below which words do not fit, or names cannot be cut."""
        words = [
            cell_width(forms[-1]) if self.is_cut else longest_word(forms[-1])
            for cell in self.cells
            for forms in cell.lines
        ]
        widest = min(max(words, default=0), self.longest_word)
        return max(len(self.title), widest, self.reserved)

    @cached_property
    def comfortable_width(self) -> int:
        """Cells that show most texts."""
        return max(self.least_width, min(self.full_width, self.comfortable or self.full_width))


@dataclass(frozen=True, slots=True)
class Plan:
    """The columns of a table.

    Attributes:
        below: the column whose texts stand below the row, or None.
        is_squeezed: whether columns may become narrower than is comfortable.
        growing: the columns that get spare cells if they are shown, in this order.
    """

    columns: Sequence[Column]
    growing: Sequence[Column] = ()
    below: Column | None = None
    is_squeezed: bool = False

    def fits(self, cells: int) -> bool:
        """Return whether the table fits into a terminal of this width."""
        return sum(self._first_widths()) + GAP * (len(self.columns) - 1) <= cells

    def widths(self, cells: int) -> list[int]:
        """Return the width of each column on a terminal of this width."""
        widths = dict(zip(map(id, self.columns), self._first_widths(), strict=True))
        spare = cells - sum(widths.values()) - GAP * (len(self.columns) - 1)
        for is_comfortable in (True, False):
            for column in (column for column in self.growing if column in self.columns):
                goal = column.comfortable_width if is_comfortable else column.full_width
                more = goal - widths[id(column)]
                # A few cells more show more of a long text, and nothing of a name that is cut.
                more = min(more, spare) if not column.is_cut else more
                if 0 < more <= spare:
                    widths[id(column)] += more
                    spare -= more
        return [widths[id(column)] for column in self.columns]

    def _first_widths(self) -> list[int]:
        return [
            column.least_width if self.is_squeezed else column.comfortable_width
            for column in self.columns
        ]


def render_table(plans: Sequence[Plan], cells: int | None) -> list[Line]:
    """Return the lines of the table, its heading first.

    Args:
        plans: the first one that fits is used, or the last one.
        cells: the width of the terminal; None for the first plan, as wide as its texts.
    """
    if cells is None:
        plan = plans[0]
        widths = [column.full_width for column in plan.columns]
        cells = sum(widths) + GAP * len(widths)
    else:
        plan = next((plan for plan in plans if plan.fits(cells)), plans[-1])
        widths = plan.widths(cells)
    starts = [sum(widths[:index]) + GAP * index for index in range(len(widths))]
    titles = [([column.title], HEADING) for column in plan.columns]
    lines = list(_render_row(titles, starts, cells))
    fitted = [_fit_column(c, width) for c, width in zip(plan.columns, widths, strict=True)]
    for index, row in enumerate(zip(*fitted, strict=True)):
        lines += _render_row(row, starts, cells)
        if plan.below is not None:
            cell = plan.below.cells[index]
            below = [(cell.fit(cells - INDENT), cell.style)]
            lines += _render_row(below, [INDENT], cells)
    return lines


def _fit_column(column: Column, width: int) -> list[tuple[list[str], str]]:
    """Return the lines and the style of each cell in a column of this width."""
    if column.is_cut:
        names = ["".join(cell.fit(width)) for cell in column.cells]
        shown = cut_names(names, width)
        return [([name], c.style) for name, c in zip(shown, column.cells, strict=True)]
    return [(cell.fit(width), cell.style) for cell in column.cells]


def _render_row(
    row: Sequence[tuple[list[str], str]], starts: Sequence[int], cells: int
) -> Iterator[Line]:
    """Yield the lines of a row.

    Args:
        row: the lines of each cell, and its style.
        starts: where each column starts.
        cells: the width of the terminal.
    """
    styles = [style for _, style in row]
    for texts in zip_longest(*(lines for lines, _ in row), fillvalue=""):
        line: Line = []
        used = 0
        for text, style, start in zip(texts, styles, starts, strict=True):
            if not text:
                continue
            length = cell_width(text)
            at = start
            if at + length > cells or (line and at < used + GAP):
                if line:
                    yield line
                line, used = [], 0
                at = min(start, max(0, cells - length))
            line += [("", " " * (at - used))] if at > used else []
            line.append((style, text.replace(KEPT_BLANK, " ")))
            used = at + length
        if line:
            yield line
