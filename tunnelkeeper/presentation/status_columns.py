"""The table of `status`: a row for each tunnel, and the columns that fit a terminal. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.presentation.fitted_table import Cell, Column, Line, Plan, render_table, text_cell
from tunnelkeeper.presentation.formatting import format_size, time_since
from tunnelkeeper.presentation.text_layout import KEPT_BLANK, are_distinguishable, keep_whole
from tunnelkeeper.presentation.tunnel_text import (
    CONNECTED,
    format_forward,
    format_host_chain,
    format_progress,
    format_replacement,
    short_reason,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from tunnelkeeper.core.snapshot import ForwardSnapshot, TunnelSnapshot

STANDARD_WIDTH = 80
"""Cells of a terminal that always shows SINCE."""

COMFORTABLE = {"name": 18, "host": 26, "short_host": 20, "forwards": 28, "reason": 22}
"""Cells that show most texts of these columns."""

DURATION_WIDTH, TRAFFIC_WIDTH = 7, 15
"""Cells of most durations and byte counts: `23h 59m` and `999 kB / 1.2 MB`."""

CUT_NAME_WIDTHS = range(15, 25)
"""Cells of a name that is cut because the table needs the room. More only if names look alike."""

NARROWEST_NAME = 8

_USER = re.compile(r"[^ @]+@")


@dataclass(frozen=True, slots=True)
class Row:
    """A tunnel's row: a text for each column. Each forward has a line, in a long and a short form.

    short_host: the host and its jump hosts without their users.
    """

    name: str
    state: str
    host: str
    short_host: str
    forwards: tuple[tuple[str, ...], ...]
    since: str
    traffic: str
    reason: str


def status_row(tunnel: TunnelSnapshot, now: datetime) -> Row:
    """Return a tunnel's row. now: for "since" and for the countdown to the next attempt."""
    host = format_host_chain(tunnel).replace(" via ", f" via{KEPT_BLANK}")
    return Row(
        name=printable(tunnel.name),
        state=tunnel.state,
        host=host,
        short_host=_USER.sub("", host),
        forwards=tuple(_forward_forms(forward, tunnel) for forward in tunnel.forwards),
        since=keep_whole(time_since(tunnel.since, now)),
        traffic=_format_traffic(tunnel),
        reason=_format_reason(tunnel, now),
    )


def forward_rows(tunnel: TunnelSnapshot, now: datetime) -> list[Row]:
    """Return a complete row for each forward of a tunnel, with the forward's own traffic."""
    row = status_row(tunnel, now)
    return [
        replace(row, forwards=(forms,), traffic=_format_traffic(forward))
        for forms, forward in zip(row.forwards, tunnel.forwards, strict=True)
    ] or [row]


def render_status(rows: Sequence[Row], cells: int | None) -> list[Line]:
    """Return the lines of the table for a terminal of this width.

    None: with all columns, as wide as their texts.
    """
    return render_table(list(_plans(rows, cells)), cells)


def summarize_states(tunnels: Sequence[TunnelSnapshot]) -> list[tuple[str, str]]:
    """Return `200 tunnels: 196 up, 4 backoff` as texts with their styles."""
    states = [tunnel.state for tunnel in tunnels]
    counts = {state: states.count(state) for state in STATES if state in states}
    summary: Line = [("", f"{len(states)} tunnel{'' if len(states) == 1 else 's'}: ")]
    for index, (state, count) in enumerate(counts.items()):
        summary += [("", ", ")] if index else []
        summary.append((f"state.{state}", f"{count} {state}"))
    return summary


STATES = ("up", "degraded", "connecting", "backoff", "blocked", "stopping", "stopped")
"""The states of tunnels, in the order of the summary."""


def _plans(rows: Sequence[Row], cells: int | None) -> Iterable[Plan]:
    """Yield the columns of the table, the widest table first."""
    names = [row.name for row in rows]
    cut = next((w for w in CUT_NAME_WIDTHS if are_distinguishable(names, w)), CUT_NAME_WIDTHS[0])
    name = _text_column("NAME", names, "name", longest_word=cut, is_cut=True)
    narrow_name = replace(name, longest_word=NARROWEST_NAME)
    state = Column("STATE", [text_cell(row.state, f"state.{row.state}") for row in rows])
    host = _text_column("HOST", [row.host for row in rows], "host", longest_word=60)
    short_host = _text_column(
        "HOST", [row.short_host for row in rows], "short_host", longest_word=60
    )
    forwards = Column("FORWARDS", [Cell(row.forwards) for row in rows], COMFORTABLE["forwards"])
    since = _text_column("SINCE", [row.since for row in rows], reserved=DURATION_WIDTH)
    traffic = _text_column("IN / OUT", [row.traffic for row in rows], reserved=TRAFFIC_WIDTH)
    reason = _text_column("REASON", [row.reason for row in rows], "reason")

    def plan(*columns: Column, below: Column | None = None, is_squeezed: bool = False) -> Plan:
        shown = [c for c in columns if cells is None or not c.is_empty]
        return Plan(shown, (name, reason, forwards, host, short_host), below, is_squeezed)

    yield plan(name, state, host, forwards, since, traffic, reason)
    yield plan(name, state, host, forwards, since, reason)
    # A standard terminal shows the time even where the host finds no room.
    time = [since] if cells is not None and cells >= STANDARD_WIDTH else []
    yield plan(name, state, host, forwards, *time, reason)
    yield plan(name, state, short_host, forwards, *time, reason)
    yield plan(name, state, forwards, *time, reason)
    yield plan(name, state, forwards, *time, reason, is_squeezed=True)
    yield plan(name, state, forwards, *time, below=reason, is_squeezed=True)
    yield plan(narrow_name, state, forwards, below=reason, is_squeezed=True)


def _text_column(
    title: str,
    texts: Iterable[str],
    key: str = "",
    *,
    longest_word: int = 20,
    is_cut: bool = False,
    reserved: int = 0,
) -> Column:
    cells = [text_cell(text) for text in texts]
    return Column(title, cells, COMFORTABLE.get(key, 0), longest_word, is_cut, reserved)


def _forward_forms(forward: ForwardSnapshot, tunnel: TunnelSnapshot) -> tuple[str, str]:
    """Return a forward with its target, and without it. A forward that does not work is marked."""
    # While the tunnel is away, a pending forward is no news.
    is_marked = forward.state == "failed" or (
        tunnel.state in CONNECTED and forward.state == "pending"
    )
    mark = f" ({forward.state})" if is_marked else ""
    text = format_forward(forward)
    return keep_whole(text + mark), keep_whole(text.partition(" -> ")[0] + mark)


def _format_traffic(counted: TunnelSnapshot | ForwardSnapshot) -> str:
    return keep_whole(f"{format_size(counted.bytes_in)} / {format_size(counted.bytes_out)}")


def _format_reason(tunnel: TunnelSnapshot, now: datetime) -> str:
    """Return the step of a connecting tunnel, or why it is not up, and the replacement's progress.

    The failure of the last attempt is shown below the table while the next one is in progress.
    """
    if tunnel.state == "connecting" and tunnel.progress is not None:
        step = format_progress(tunnel.progress)
        return f"{step}, {keep_whole(f'try {tunnel.attempt}')}" if tunnel.attempt > 1 else step
    replacement = format_replacement(tunnel.replacement) if tunnel.replacement else ""
    parts = ", ".join(map(keep_whole, short_reason(tunnel, now).split(", ")))
    return "; ".join(reason for reason in (parts, replacement) if reason)
