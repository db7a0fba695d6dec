"""Renders the pane of the selected tunnel. Pure.

What matters comes first: problems, hops and forwards. The session, the traffic and the last events
are shown as far as there is room. Nothing else is left out without a notice in the title.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.detail_sections import (
    LABEL_WIDTH,
    label_lines,
    render_sections,
    width_of_longest_address,
)
from tunnelkeeper.dashboard.glyphs import (
    chart_scale,
    draw_chart,
    draw_sparkline,
    pane_title,
    state_line,
)
from tunnelkeeper.dashboard.log_pane import render_record
from tunnelkeeper.dashboard.table_rows import has_traffic
from tunnelkeeper.dashboard.text_width import (
    Line,
    align_left,
    fit_line,
    line_width,
    truncate_middle,
    wrap,
)
from tunnelkeeper.presentation.formatting import (
    format_duration,
    format_size,
    time_since,
    time_until,
)
from tunnelkeeper.presentation.text_layout import cell_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.snapshot import LogRecord, TunnelSnapshot
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import Moment

SIDE_BY_SIDE_WIDTH = 100
"""Cells of the narrowest screen that has the traffic chart on the right, not below."""

MIN_EVENTS = 4
MIN_CHART_HEIGHT, MAX_CHART_HEIGHT = 5, 12
"""Lines of a chart, with the rates above it and its time axis below."""

MAX_SPARKLINE = 40
"""Seconds of traffic beside the rates if there is no room for a chart."""

TITLE_FRAME = len("-  " + "  -- " + " -")
"""Cells of a title that are neither its text nor the facts on the right."""

UNLIMITED = 10_000


def render_detail(
    tunnel: TunnelSnapshot,
    model: Model,
    now: Moment,
    cells: int,
    glyphs: Glyphs,
    height: int = UNLIMITED,
    comfortable_height: int = UNLIMITED,
    *,
    has_events: bool = True,
) -> list[Line]:
    """Return the pane, with its title as the first line.

    Args:
        height: maximum lines. Beyond it the pane is cut, and its title says so.
        comfortable_height: lines up to which less important sections are added.
        has_events: whether the last events are among them.
    """
    facts = _describe_session(tunnel, glyphs)
    title = _render_title(tunnel, now, cells, glyphs)
    is_titled = line_width(title) + cell_width(facts) + TITLE_FRAME <= cells
    width = _text_width(tunnel, cells, glyphs)
    has_side_chart = width < cells - 1
    lines = render_sections(tunnel, model, now, width, glyphs)
    room = comfortable_height - 1 - len(lines)
    if facts and not is_titled and room > 0:
        session = wrap(facts, width - LABEL_WIDTH)[:room]
        lines += label_lines("Session", [[("class:quiet", text)] for text in session])
    # A large screen has room for a higher chart and for more events beside it.
    goal = comfortable_height // 3 - 1 if has_side_chart else 0
    count = max(MIN_EVENTS, goal - len(lines)) if has_events else 0
    events = _render_events(tunnel, model, now, width, count, glyphs)
    if not has_side_chart and has_traffic(tunnel):
        room = comfortable_height - 1 - len(lines)
        lines += _render_traffic(tunnel, model, width, room, sum(map(len, events)), glyphs)
    lines += _newest(events, comfortable_height - 1 - len(lines))
    if has_side_chart:
        chart_height = max(len(lines), min(MIN_CHART_HEIGHT, comfortable_height - 1), goal)
        chart = _render_chart(tunnel, model, cells - width - 3, chart_height, glyphs)
        lines = _place_beside(lines, chart, width, glyphs)
    return _finish(title, facts if is_titled else "", lines, cells, height, glyphs)


def _text_width(tunnel: TunnelSnapshot, cells: int, glyphs: Glyphs) -> int:
    """Return the cells of the texts: all, or two thirds if there is a chart to put beside them."""
    width = cells * 2 // 3 - 2
    is_wide = cells >= SIDE_BY_SIDE_WIDTH and width_of_longest_address(tunnel, glyphs) <= width
    return width if is_wide and has_traffic(tunnel) else cells - 1


def _finish(
    title: Line, facts: str, lines: list[Line], cells: int, height: int, glyphs: Glyphs
) -> list[Line]:
    """Put the title on top, and cut the pane to its maximum height."""
    count = len(lines)
    right = [("class:quiet", facts)] if facts else []
    if len(lines) > height - 1:
        lines = lines[: max(0, height - 1)]
        right = [("class:notice", f"{len(lines)} of {count} lines")]
        while len(title) > 1 and line_width(title) + line_width(right) + TITLE_FRAME > cells:
            title = title[:-1]  # the notice is more important than the times in the title
    heading = pane_title(title, right, cells, glyphs)
    return [heading, *(fit_line(line, cells, glyphs.ellipsis) for line in lines)][:height]


def _render_title(tunnel: TunnelSnapshot, now: Moment, cells: int, glyphs: Glyphs) -> Line:
    state = state_line(tunnel.state, tunnel.state, glyphs)
    rest: Line = [*state, ("class:quiet", f" for {time_since(tunnel.since, now.wall)}")]
    if tunnel.retry_at is not None:
        wait = time_until(tunnel.retry_at, now.wall)
        text = f"  attempt {tunnel.attempt} failed, next in {wait}"
        rest.append(("class:countdown", text))
    if tunnel.ends_at is not None:
        rest.append(("class:countdown", f"  ends in {time_until(tunnel.ends_at, now.wall)}"))
    room = max(8, cells - line_width(rest) - TITLE_FRAME)
    name = truncate_middle(glyphs.printable(tunnel.name), room, glyphs.ellipsis)
    return [("class:title", name), ("", "  "), *rest]


def _describe_session(tunnel: TunnelSnapshot, glyphs: Glyphs) -> str:
    """Return the cipher, the number of restarts and the groups, as far as there are any."""
    restarts = f"{tunnel.restarts} restart{'s' if tunnel.restarts > 1 else ''}"
    ad_hoc = "in no config file" if tunnel.ad_hoc else ""
    groups = f"group{'s' if len(tunnel.groups) > 1 else ''} {', '.join(tunnel.groups)}"
    facts = [
        ad_hoc,
        tunnel.cipher or "",
        restarts if tunnel.restarts else "",
        groups if tunnel.groups else "",
    ]
    return glyphs.printable(f" {glyphs.dot} ".join(fact for fact in facts if fact))


def _place_beside(
    left: list[Line], right: list[Line], left_width: int, glyphs: Glyphs
) -> list[Line]:
    empty: Line = []
    return [
        [*fit_line(left_line, left_width, glyphs.ellipsis), ("", "  "), *right_line]
        for left_line, right_line in zip_longest(left, right, fillvalue=empty)
    ]


def _render_traffic(
    tunnel: TunnelSnapshot, model: Model, cells: int, room: int, event_lines: int, glyphs: Glyphs
) -> list[Line]:
    """Return a chart below the sections if the events fit too, or else a sparkline."""
    width = cells - LABEL_WIDTH
    if room >= MIN_CHART_HEIGHT + event_lines:
        chart = _render_chart(tunnel, model, width, MIN_CHART_HEIGHT, glyphs)
        return label_lines("Traffic", chart)
    if room < 1:
        return []
    rates = _describe_rates(tunnel, model, glyphs)
    count = min(MAX_SPARKLINE, width - line_width(rates) - 2)
    values = [rate.total for rate in model.throughput_history(tunnel.name, max(0, count))]
    sparkline = ("class:curve", draw_sparkline(values, glyphs.bars))
    return label_lines("Traffic", [[*rates, ("", "  "), sparkline]])


def _render_chart(
    tunnel: TunnelSnapshot, model: Model, cells: int, height: int, glyphs: Glyphs
) -> list[Line]:
    """Return a chart of the traffic in both directions, with its rates above and its span below."""
    values = [rate.total for rate in model.throughput_history(tunnel.name, cells)]
    bars = draw_chart(values, min(height, MAX_CHART_HEIGHT) - 2, glyphs.bars)
    span = f"{format_duration(cells)} ago, up to {format_size(int(chart_scale(values)))}/s"
    return [
        _describe_rates(tunnel, model, glyphs),
        *([("class:curve", line)] for line in bars),
        [("class:quiet", align_left(span, cells - len("now"), "") + "now")],
    ]


def _describe_rates(tunnel: TunnelSnapshot, model: Model, glyphs: Glyphs) -> Line:
    rate = model.throughput(tunnel.name)
    return [
        ("class:number", f"{glyphs.inbound} {format_size(int(rate.inbound))}/s"),
        ("class:number", f"  {glyphs.outbound} {format_size(int(rate.outbound))}/s"),
    ]


def _render_events(
    tunnel: TunnelSnapshot, model: Model, now: Moment, cells: int, count: int, glyphs: Glyphs
) -> list[list[Line]]:
    """Return the lines of each of the last events, oldest first.

    They have no hints: that of the last failure is at the top of the pane.
    """
    width = cells - LABEL_WIDTH
    own = model.tunnel_records(tunnel.name)
    records: Sequence[LogRecord] = list(own) if own is not None else []
    if own is None:
        records = [record for record in model.records if record.tunnel == tunnel.name]
    return [
        render_record(record, now, width, glyphs, with_name=False, with_hint=False)
        for record in records[len(records) - min(count, len(records)) :]
    ]


def _newest(events: Sequence[list[Line]], room: int) -> list[Line]:
    """Return the newest events that fit, oldest first."""
    lines: list[Line] = []
    for event in reversed(events):
        if len(event) + len(lines) > room:
            break
        lines = [*event, *lines]
    return label_lines("Events", lines)
