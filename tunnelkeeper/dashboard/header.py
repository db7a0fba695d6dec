"""Renders the lines above the table: counts of states, traffic and the supervisor. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.glyphs import state_line
from tunnelkeeper.dashboard.model import Connected, Disconnected
from tunnelkeeper.dashboard.text_width import Line, line_width, spread, truncate_middle
from tunnelkeeper.presentation.formatting import format_duration, format_size, time_since
from tunnelkeeper.presentation.text_layout import cell_width

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
    """Return the header with one or two lines."""
    glyphs = ui_state.glyphs
    badge = _render_badge(model)
    counts = _render_state_counts(model, glyphs, cells)
    source = _render_source(model, now, cells, glyphs)
    process = _render_process(model, now, cells - line_width(source), glyphs)
    right = [*badge, *_render_traffic(model, glyphs)]
    if line_width(counts) + line_width(right) >= cells:
        right = badge or right
    if badge and line_width(counts) + line_width(badge) >= cells:
        # What needs the user comes first, on the second line if there is one.
        counts, source = (counts, [*badge, *source]) if lines > 1 else ([*badge, *counts], source)
        right = []
    return [spread(counts, right, cells, ""), spread(source, process, cells, "")][:lines]


def _render_badge(model: Model) -> Line:
    """Return how many questions wait for the user, and the key that opens one."""
    if not isinstance(model.feed_state, Connected):
        return []
    typed = sum(question.kind != "touch" for question in model.questions.values())
    if typed:
        text = f"{typed} question{'s' if typed > 1 else ''}: press A"
        return [("", " "), ("class:question", text), ("", " ")]
    if model.questions:
        return [("", " "), ("class:question", "waiting for a touch"), ("", " ")]
    return []


def _render_state_counts(model: Model, glyphs: Glyphs, cells: int) -> Line:
    title: Line = [("", " "), ("class:title", "tunnelkeeper")]
    counts = Counter(tunnel.state for tunnel in model.tunnels.values())
    fragments: Line = []
    short: Line = []
    for state in STATE_ORDER:
        if counts[state]:
            text = f"{counts[state]} {state}"
            fragments += [("", "  "), *state_line(state, text, glyphs)]
            short += [("", "  "), *state_line(state, str(counts[state]), glyphs)]
        elif state in ALWAYS_SHOWN:
            fragments += [("", "  "), ("class:quiet", f"{glyphs.states[state]} 0 {state}")]
    # On a narrow screen the counts matter more than the program's name.
    forms = [[*title, *fragments], [("", " "), *fragments[1:]], [("", " "), *short[1:]]]
    return next((line for line in forms if line_width(line) <= cells), forms[-1])


def _render_traffic(model: Model, glyphs: Glyphs) -> Line:
    if model.supervisor is None:
        return []
    rate = model.total_meter.rate(model.counters_at)
    line: Line = []
    for glyph, amount in ((glyphs.inbound, rate.inbound), (glyphs.outbound, rate.outbound)):
        style = "class:number" if amount else "class:quiet"
        line += [("class:quiet", f"  {glyph} "), (style, f"{format_size(int(amount))}/s")]
    return [*line, ("", " ")]


def _render_source(model: Model, now: Moment, cells: int, glyphs: Glyphs) -> Line:
    """Return the path of the config file, or a notice that the shown state is out of date."""
    if isinstance(model.feed_state, Disconnected) and model.supervisor is not None:
        since = format_duration(now.monotonic - model.feed_state.since)
        text = f" supervisor disconnected {since} ago; showing its last state"
        return [("class:gone", f"{text} {glyphs.dot} u starts one ")]
    if model.supervisor is None:
        return []
    notice = " file changed, R reloads " if model.supervisor.config_changed else ""
    room = max(0, cells - cell_width(notice) - 2)
    config = truncate_middle(glyphs.printable(model.supervisor.config), room, glyphs.ellipsis)
    return [("class:notice", notice), ("class:quiet", f" {config}")]


def _render_process(model: Model, now: Moment, cells: int, glyphs: Glyphs) -> Line:
    """Return as many facts about the supervisor's process as fit."""
    supervisor = model.supervisor
    if supervisor is None or not isinstance(model.feed_state, Connected):
        return []
    parts = [supervisor.version, f"up {time_since(supervisor.started_at, now.wall)}"]
    total = model.total_meter
    parts.append(f"{format_size(total.bytes_in)} in, {format_size(total.bytes_out)} out")
    parts.append(format_size(supervisor.memory_bytes))
    if model.cpu_load is not None:
        parts.append(f"{model.cpu_load * 100:.1f} % CPU")
    while parts:
        text = f" {glyphs.dot} ".join(parts) + " "
        if cell_width(text) < cells:
            return [("class:quiet", text)]
        parts.pop()
    return []
