"""The lines above the table: how many tunnels are how, the traffic, the supervisor itself; pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.model import Connected, Disconnected
from tunnelkeeper.dashboard.text_width import Line, apart, line_width
from tunnelkeeper.presentation.formatting import format_duration, format_size, time_since

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import StateName
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import Moment, UiState

COUNTED: tuple[StateName, ...] = (
    "up",
    "degraded",
    "backoff",
    "blocked",
    "connecting",
    "stopping",
    "stopped",
)
ALWAYS_COUNTED = COUNTED[:4]


def header(board: Model, view: UiState, now: Moment, cells: int, lines: int) -> list[Line]:
    """One line or two, as asked for."""
    first = apart(_counts(board, view.glyphs, cells), _traffic(board, view.glyphs), cells, "")
    second = apart(_place(board, now, view.glyphs), _process(board, now, view.glyphs), cells, "")
    return [first, second][:lines]


def _counts(board: Model, signs: Glyphs, cells: int) -> Line:
    title: Line = [("", " "), ("class:title", "tunnelkeeper")]
    states = Counter(tunnel.state for tunnel in board.tunnels.values())
    told: Line = []
    for state in COUNTED:
        if states[state] or state in ALWAYS_COUNTED:
            style = f"class:state.{state}" if states[state] else "class:quiet"
            told += [("", "  "), (style, f"{signs.states[state]} {states[state]} {state}")]
    # On a narrow screen the counts matter more than who counts.
    return [*title, *told] if line_width([*title, *told]) <= cells else told[1:]


def _traffic(board: Model, signs: Glyphs) -> Line:
    if board.supervisor is None:
        return []
    rate = board.total_meter.rate(board.counters_at)
    parts: Line = []
    for sign, amount in ((signs.inward, rate.inbound), (signs.outward, rate.outbound)):
        style = "class:number" if amount else "class:quiet"
        parts += [("class:quiet", f"  {sign} "), (style, f"{format_size(int(amount))}/s")]
    return [*parts, ("", " ")]


def _place(board: Model, now: Moment, signs: Glyphs) -> Line:
    if isinstance(board.feed_state, Disconnected) and board.supervisor is not None:
        gone = format_duration(now.monotonic - board.feed_state.since)
        words = f" the supervisor is gone for {gone}; this is the last picture"
        return [("class:gone", f"{words} {signs.dot} u starts one ")]
    config = board.supervisor.config if board.supervisor else ""
    return [("class:quiet", f" {signs.text(config)}")]


def _process(board: Model, now: Moment, signs: Glyphs) -> Line:
    supervisor = board.supervisor
    if supervisor is None or not isinstance(board.feed_state, Connected):
        return []
    parts = [supervisor.version, f"up {time_since(supervisor.started_at, now.wall)}"]
    parts.append(format_size(supervisor.memory_bytes))
    if board.cpu_load is not None:
        parts.append(f"{board.cpu_load * 100:.1f} % CPU")
    total = board.total_meter
    parts.append(f"{format_size(total.bytes_in)} in, {format_size(total.bytes_out)} out")
    return [("class:quiet", f" {signs.dot} ".join(parts) + " ")]
