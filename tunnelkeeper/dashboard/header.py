"""The lines above the table: how many tunnels are how, the traffic, the supervisor itself; pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.model import Connected, Disconnected
from tunnelkeeper.dashboard.text_width import Line, line_width, spread
from tunnelkeeper.presentation.formatting import format_duration, format_size, time_since

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import StateName
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import Moment, UiState

STATE_ORDER: tuple[StateName, ...] = (
    "up",
    "degraded",
    "backoff",
    "blocked",
    "connecting",
    "stopping",
    "stopped",
)
ALWAYS_SHOWN = STATE_ORDER[:4]


def render_header(
    model: Model, ui_state: UiState, now: Moment, cells: int, lines: int
) -> list[Line]:
    """One line or two, as asked for."""
    first = spread(
        _render_state_counts(model, ui_state.glyphs, cells),
        _render_traffic(model, ui_state.glyphs),
        cells,
        "",
    )
    second = spread(
        _render_config_path(model, now, ui_state.glyphs),
        _render_process(model, now, ui_state.glyphs),
        cells,
        "",
    )
    return [first, second][:lines]


def _render_state_counts(model: Model, glyphs: Glyphs, cells: int) -> Line:
    title: Line = [("", " "), ("class:title", "tunnelkeeper")]
    states = Counter(tunnel.state for tunnel in model.tunnels.values())
    told: Line = []
    for state in STATE_ORDER:
        if states[state] or state in ALWAYS_SHOWN:
            style = f"class:state.{state}" if states[state] else "class:quiet"
            told += [("", "  "), (style, f"{glyphs.states[state]} {states[state]} {state}")]
    # On a narrow screen the counts matter more than who counts.
    return [*title, *told] if line_width([*title, *told]) <= cells else told[1:]


def _render_traffic(model: Model, glyphs: Glyphs) -> Line:
    if model.supervisor is None:
        return []
    rate = model.total_meter.rate(model.counters_at)
    parts: Line = []
    for sign, amount in ((glyphs.inward, rate.inbound), (glyphs.outward, rate.outbound)):
        style = "class:number" if amount else "class:quiet"
        parts += [("class:quiet", f"  {sign} "), (style, f"{format_size(int(amount))}/s")]
    return [*parts, ("", " ")]


def _render_config_path(model: Model, now: Moment, glyphs: Glyphs) -> Line:
    if isinstance(model.feed_state, Disconnected) and model.supervisor is not None:
        gone = format_duration(now.monotonic - model.feed_state.since)
        words = f" the supervisor is gone for {gone}; this is the last picture"
        return [("class:gone", f"{words} {glyphs.dot} u starts one ")]
    config = model.supervisor.config if model.supervisor else ""
    return [("class:quiet", f" {glyphs.printable(config)}")]


def _render_process(model: Model, now: Moment, glyphs: Glyphs) -> Line:
    supervisor = model.supervisor
    if supervisor is None or not isinstance(model.feed_state, Connected):
        return []
    parts = [supervisor.version, f"up {time_since(supervisor.started_at, now.wall)}"]
    parts.append(format_size(supervisor.memory_bytes))
    if model.cpu_load is not None:
        parts.append(f"{model.cpu_load * 100:.1f} % CPU")
    total = model.total_meter
    parts.append(f"{format_size(total.bytes_in)} in, {format_size(total.bytes_out)} out")
    return [("class:quiet", f" {glyphs.dot} ".join(parts) + " ")]
