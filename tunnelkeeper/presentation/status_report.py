"""Everything that `status` prints: the table, the count of states, and the messages. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.presentation.status_columns import (
    forward_rows,
    render_status,
    status_row,
    summarize_states,
)
from tunnelkeeper.presentation.status_messages import render_messages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tunnelkeeper.core.snapshot import StatusSnapshot, TunnelSnapshot
    from tunnelkeeper.presentation.fitted_table import Line

MANY_TUNNELS = 10
"""The number of tunnels from which on their states are counted."""


def render_report(
    snapshot: StatusSnapshot, now: datetime, cells: int | None, *, is_wide: bool = False
) -> list[Line]:
    """Return the lines of the report.

    Args:
        snapshot: the tunnels and the supervisor.
        now: the current time.
        cells: the width of the terminal; None if the output is none.
        is_wide: whether each forward has a complete line, wider than the terminal if necessary.
    """
    if not snapshot.tunnels:
        lines = [[("", f"no tunnels are configured in {printable(snapshot.supervisor.config)}")]]
    elif is_wide:
        rows = [row for tunnel in snapshot.tunnels for row in forward_rows(tunnel, now)]
        lines = render_status(rows, None)
    else:
        lines = render_status([status_row(tunnel, now) for tunnel in snapshot.tunnels], cells)
    if cells is not None and len(snapshot.tunnels) >= MANY_TUNNELS:
        lines += [[], summarize_states(snapshot.tunnels)]
    messages = render_messages(snapshot, now, cells)
    return lines + ([[], *messages] if messages else [])


def render_screen(snapshot: StatusSnapshot, now: datetime, cells: int, height: int) -> list[Line]:
    """Return as much of the report as fits a terminal, what is wrong first.

    If not all tunnels fit, the table has those that should be up and are not, and then others.
    """
    tunnels = snapshot.tunnels
    if len(tunnels) < height:
        report = render_report(snapshot, now, cells)
        if len(report) <= height:
            return report
    messages = _cut_lines(render_messages(snapshot, now, cells), height // 2)
    below: list[Line] = [[], summarize_states(tunnels), *([[], *messages] if messages else [])]
    table = _render_most_urgent(tunnels, now, cells, height - len(below))
    return [*table, *below][:height]


def _render_most_urgent(
    tunnels: Sequence[TunnelSnapshot], now: datetime, cells: int, height: int
) -> list[Line]:
    """Return a table of as many tunnels as fit, in their order, and the number of the others."""
    by_urgency = sorted(tunnels, key=lambda tunnel: tunnel.state == "up" or not tunnel.wanted)
    for count in range(min(len(tunnels), height), 0, -1):
        shown = {tunnel.name for tunnel in by_urgency[:count]}
        rows = [status_row(tunnel, now) for tunnel in tunnels if tunnel.name in shown]
        table = render_status(rows, cells)
        if count < len(tunnels):
            table.append([("quiet", f"and {len(tunnels) - count} more")])
        if len(table) <= height:
            return table
    return []


def _cut_lines(lines: list[Line], height: int) -> list[Line]:
    if len(lines) <= height:
        return lines
    kept = lines[: max(0, height - 1)]
    return [*kept, [("quiet", f"and {len(lines) - len(kept)} more lines")]]
