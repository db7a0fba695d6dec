"""The cursor of the table: it moves over the rows, folds groups and marks tunnels. Pure.

The cursor is on a tunnel. If its group is folded, the cursor is on the row of the group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.folding import (
    FoldedGroup,
    find_row,
    group_names,
    group_of,
    table_rows,
    tunnels_of,
)

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.dashboard.folding import Row
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import UiState


@dataclass(frozen=True, slots=True)
class RowCursor:
    """The operations on the rows of the table."""

    model: Model
    ui_state: UiState

    def rows(self) -> list[Row]:
        """Return the rows of the table."""
        return table_rows(self.model, self.ui_state)

    def row(self) -> Row | None:
        """Return the row under the cursor. None: the table is empty."""
        rows = self.rows()
        index = find_row(rows, self.ui_state.selected)
        return None if index is None else rows[index]

    def tunnels(self) -> tuple[TunnelSnapshot, ...]:
        """Return the tunnels of the row under the cursor."""
        row = self.row()
        return () if row is None else tunnels_of(row)

    def move(self, count: int) -> None:
        """Move by a number of rows, as far as the ends. Negative is up."""
        rows = self.rows()
        if rows:
            index = max(0, min(len(rows) - 1, self.ui_state.selected_row + count))
            self._put_on(rows, index)

    def select(self, name: str) -> bool:
        """Move to the row that has a tunnel. Return False if the table does not show it."""
        rows = self.rows()
        index = find_row(rows, name)
        if index is None:
            return False
        self._put_on(rows, index, name)
        return True

    def reveal(self, name: str) -> bool:
        """Move to a tunnel, and unfold its group. Return False if the table does not show it."""
        tunnel = self.model.tunnels.get(name)
        if tunnel is not None:
            self.ui_state.folded.discard(group_of(tunnel) or "")
        return self.select(name)

    def _put_on(self, rows: list[Row], index: int, name: str | None = None) -> None:
        row = rows[index]
        self.ui_state.selected = name or tunnels_of(row)[0].name
        self.ui_state.selected_row = index
        self.ui_state.copied = None
        self.ui_state.selected_group = row.name if isinstance(row, FoldedGroup) else None

    # -- folding -----------------------------------------------------------------------------

    def toggle_fold(self) -> str:
        """Fold or unfold the group under the cursor. Return why that is not possible, or ""."""
        row = self.row()
        if row is None:
            return "no tunnel is selected"
        if self.ui_state.filter:
            return "a filter shows every group unfolded"
        if isinstance(row, FoldedGroup):
            self.ui_state.folded.discard(row.name)
        elif (group := group_of(row)) is not None:
            self.ui_state.folded.add(group)
        else:
            return f"{row.name} is in no group"
        self.select(self.ui_state.selected or "")
        return ""

    def set_folded(self, group: str | None, *, is_folded: bool) -> None:
        """Fold or unfold a group. None: every group."""
        all_groups = {*group_names(self.model.tunnels.values()), *self.ui_state.folded}
        groups = all_groups if group is None else {group}
        if is_folded:
            self.ui_state.folded |= groups
        else:
            self.ui_state.folded -= groups
        self.select(self.ui_state.selected or "")

    # -- marks -------------------------------------------------------------------------------

    def toggle_mark(self) -> None:
        """Mark or unmark the tunnels of the row, and move to the next row."""
        names = {tunnel.name for tunnel in self.tunnels()}
        if names:
            self._toggle(names)
            self.move(1)

    def toggle_all_marks(self) -> None:
        """Mark all tunnels of the table, or unmark all if they are marked already."""
        names = {tunnel.name for row in self.rows() for tunnel in tunnels_of(row)}
        self.ui_state.marked = set() if names <= self.ui_state.marked else names

    def _toggle(self, names: set[str]) -> None:
        if names <= self.ui_state.marked:
            self.ui_state.marked -= names
        else:
            self.ui_state.marked |= names
