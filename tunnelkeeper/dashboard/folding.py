"""The rows of the table: a tunnel each, or a folded group of tunnels. Pure.

A tunnel belongs to the first of its groups. A tunnel without a group always has a row of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.snapshot import TunnelSnapshot
from tunnelkeeper.dashboard.filter_sort import visible_tunnels

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import UiState


@dataclass(frozen=True, slots=True)
class FoldedGroup:
    """A group that has one row for all of its tunnels, which are in the order of the table."""

    name: str
    tunnels: tuple[TunnelSnapshot, ...]


Row = TunnelSnapshot | FoldedGroup


def group_of(tunnel: TunnelSnapshot) -> str | None:
    """Return the group with which a tunnel is folded: its first one, or None without a group."""
    return tunnel.groups[0] if tunnel.groups else None


def group_names(tunnels: Iterable[TunnelSnapshot]) -> list[str]:
    """Return the groups that can be folded, in the order of their first tunnels."""
    groups = (group_of(tunnel) for tunnel in tunnels)
    return list(dict.fromkeys(group for group in groups if group is not None))


def fold(tunnels: Sequence[TunnelSnapshot], folded: Collection[str]) -> list[Row]:
    """Return a row for each tunnel, and one for each folded group.

    While a group is folded, the tunnels of every group stand together, in the place of the first.
    Otherwise those of an unfolded group would be scattered among the rows of the folded ones.

    folded: the names of the folded groups.
    """
    if not folded:
        return list(tunnels)
    blocks: dict[tuple[str | None, str], list[TunnelSnapshot]] = {}
    for tunnel in tunnels:
        group = group_of(tunnel)
        place = (group, "") if group is not None else (None, tunnel.name)
        blocks.setdefault(place, []).append(tunnel)
    if not any(group in folded for group, _ in blocks):
        return list(tunnels)
    rows: list[Row] = []
    for (group, _), block in blocks.items():
        if group is not None and group in folded:
            rows.append(FoldedGroup(group, tuple(block)))
        else:
            rows += block
    return rows


def table_rows(model: Model, ui_state: UiState) -> list[Row]:
    """Return the rows of the table: filtered, sorted and folded.

    A filter shows the tunnels that it finds in folded groups too.
    """
    tunnels = visible_tunnels(model, ui_state.filter, ui_state.sorting)
    return fold(tunnels, () if ui_state.filter else ui_state.folded)


def tunnels_of(row: Row) -> tuple[TunnelSnapshot, ...]:
    """Return the tunnels of a row."""
    return row.tunnels if isinstance(row, FoldedGroup) else (row,)


def find_row(rows: Sequence[Row], name: str | None) -> int | None:
    """Return the index of the row that has a tunnel, or None."""
    for index, row in enumerate(rows):
        if any(tunnel.name == name for tunnel in tunnels_of(row)):
            return index
    return None


def members(model: Model, group: str) -> set[str]:
    """Return the names of the tunnels that are folded with a group."""
    return {tunnel.name for tunnel in model.tunnels.values() if group_of(tunnel) == group}
