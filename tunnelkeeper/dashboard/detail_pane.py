"""The pane of the chosen tunnel: hops, forwards, failure, cipher, events, and its traffic; pure."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from tunnelkeeper.core.snapshot import CheckSnapshot
from tunnelkeeper.dashboard.glyphs import chart_scale, draw_chart, pane_title
from tunnelkeeper.dashboard.log_pane import render_record
from tunnelkeeper.dashboard.table_rows import CONNECTED, forward_text
from tunnelkeeper.dashboard.text_width import Fragment, Line, align_left, cell_width, fit_line, wrap
from tunnelkeeper.presentation.formatting import (
    format_duration,
    format_milliseconds,
    format_size,
    time_since,
    time_until,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.snapshot import (
        FailureSnapshot,
        ForwardState,
        LogRecord,
        ReplacementSnapshot,
        StateName,
        TunnelSnapshot,
    )
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import Moment

LABEL_WIDTH = 10
"""Cells of the words at the left."""

SIDE_BY_SIDE_WIDTH = 100
"""Cells from which on the traffic is drawn beside the facts, not below them."""

MAX_EVENTS = 4
COUNTERS_WIDTH = 38
"""Cells for the sign, the counters and the clients of a forward."""

CHECK_WIDTH = 13
"""Cells for what a check found."""

MIN_CHART_HEIGHT, MAX_CHART_HEIGHT = 3, 10
_FORWARD_STATES: dict[ForwardState, StateName] = {
    "listening": "up",
    "pending": "connecting",
    "failed": "blocked",
}


def render_detail(
    tunnel: TunnelSnapshot, model: Model, now: Moment, cells: int, glyphs: Glyphs
) -> list[Line]:
    """The pane, its rule first; as long as what there is to tell."""
    head = pane_title(
        _render_title(tunnel, now, glyphs), _render_summary(tunnel, glyphs), cells, glyphs
    )
    if cells < SIDE_BY_SIDE_WIDTH:
        drawn = _render_traffic(tunnel, model, cells - LABEL_WIDTH - 1, MIN_CHART_HEIGHT, glyphs)
        lines = _render_sections(tunnel, now, cells, glyphs) + [
            [("", " " * LABEL_WIDTH), *line] for line in drawn
        ]
        lines += _render_events(tunnel, model, now, glyphs)
        return [head, *(fit_line(line, cells, glyphs.ellipsis) for line in lines)]
    room = cells * 2 // 3
    told = _render_sections(tunnel, now, room - 2, glyphs) + _render_events(
        tunnel, model, now, glyphs
    )
    height = min(max(MIN_CHART_HEIGHT, len(told) - 2), MAX_CHART_HEIGHT)
    drawn = _render_traffic(tunnel, model, cells - room - 1, height, glyphs)
    nothing: Line = []
    beside: list[Line] = []
    for one, other in zip_longest(told, drawn, fillvalue=nothing):
        beside.append([*fit_line(one, room - 2, glyphs.ellipsis), ("", "  "), *other])
    return [head, *(fit_line(line, cells, glyphs.ellipsis) for line in beside)]


def _render_title(tunnel: TunnelSnapshot, now: Moment, glyphs: Glyphs) -> Line:
    state = (f"class:state.{tunnel.state}", f"{glyphs.states[tunnel.state]} {tunnel.state}")
    since = ("class:quiet", f"since {time_since(tunnel.since, now.wall)}")
    retry: Line = []
    if tunnel.retry_at is not None:
        tries = f"tried {tunnel.attempt} times, again in {time_until(tunnel.retry_at, now.wall)}"
        retry = [("class:countdown", f", {tries}")]
    name = ("class:title", glyphs.printable(tunnel.name))
    return [name, ("", "  "), state, ("", " "), since, *retry]


def _render_summary(tunnel: TunnelSnapshot, glyphs: Glyphs) -> Line:
    groups = ", ".join(tunnel.groups)
    facts = [tunnel.cipher or "", f"restarts {tunnel.restarts}"]
    facts += [f"groups {groups}"] if groups else []
    return [("class:quiet", glyphs.printable(f" {glyphs.dot} ".join(f for f in facts if f)))]


def _render_sections(tunnel: TunnelSnapshot, now: Moment, cells: int, glyphs: Glyphs) -> list[Line]:
    lines = _label_lines("Hops", _render_hops(tunnel, glyphs))
    lines += _label_lines("Forwards", _render_forwards(tunnel, cells, glyphs))
    failures = [tunnel.failure, *(forward.failure for forward in tunnel.forwards)]
    if tunnel.replacement is not None:
        lines += _label_lines("Replaced", [_render_replacement(tunnel.replacement, now, glyphs)])
        failures.append(tunnel.replacement.failure)
    shown: set[str] = set()
    for failure in failures:
        if failure is not None and failure.message not in shown:
            shown.add(failure.message)
            lines += _label_lines(
                "Failure", _render_failure(failure, tunnel, now, cells - LABEL_WIDTH, glyphs)
            )
    return lines


def _label_lines(label: str, lines: Sequence[Line]) -> list[Line]:
    labels = [label if index == 0 else "" for index in range(len(lines))]
    return [
        [("class:label", align_left(f" {word}", LABEL_WIDTH, "")), *line]
        for word, line in zip(labels, lines, strict=True)
    ]


def _render_hops(tunnel: TunnelSnapshot, glyphs: Glyphs) -> list[Line]:
    hosts = [*tunnel.jump, tunnel.host]
    if not tunnel.hops:
        return [[("class:quiet", glyphs.printable(host))] for host in hosts]
    room = max(len(glyphs.printable(hop.host)) for hop in tunnel.hops)
    lines: list[Line] = []
    for hop in tunnel.hops:
        state: StateName = "up" if hop.connected else "stopped"
        sign = (f"class:state.{state}", f"{glyphs.states[state]} ")
        rtt = "" if hop.rtt_ms is None else f"  {format_milliseconds(hop.rtt_ms)}"
        step = ""
        if tunnel.progress is not None and tunnel.progress.hop == hop.host:
            step = f"  {tunnel.progress.step.replace('_', ' ')}"
        host = ("class:host", align_left(glyphs.printable(hop.host), room, glyphs.ellipsis))
        lines.append([sign, host, ("class:number", rtt), ("class:state.connecting", step)])
    return lines


def _render_replacement(replacement: ReplacementSnapshot, now: Moment, glyphs: Glyphs) -> Line:
    match replacement.state:
        case "connecting":
            sign, words = (
                glyphs.states["connecting"],
                f"a new connection, try {replacement.attempt}",
            )
            if (progress := replacement.progress) is not None:
                words += f": {progress.step.replace('_', ' ')}  {progress.hop}"
            style = "class:state.connecting"
        case "backoff":
            sign, words = glyphs.states["backoff"], f"not yet, tried {replacement.attempt} times"
            if replacement.retry_at is not None:
                words += f", again in {time_until(replacement.retry_at, now.wall)}"
            style = "class:state.backoff"
        case "draining":
            sign, words = (
                glyphs.states["stopping"],
                f"{replacement.connections} open on the old one",
            )
            if replacement.closes_at is not None:
                words += f", closed in {time_until(replacement.closes_at, now.wall)} at the latest"
            style = "class:state.stopping"
    return [(style, f"{sign} "), ("", glyphs.printable(words))]


def _render_forwards(tunnel: TunnelSnapshot, cells: int, glyphs: Glyphs) -> list[Line]:
    texts = [forward_text(forward, glyphs) for forward in tunnel.forwards]
    besides = COUNTERS_WIDTH + (
        CHECK_WIDTH if any(forward.check for forward in tunnel.forwards) else 0
    )
    room = min(max(map(cell_width, texts), default=0), max(16, cells - LABEL_WIDTH - besides))
    is_connected = tunnel.state in CONNECTED
    lines: list[Line] = []
    for forward, text in zip(tunnel.forwards, texts, strict=True):
        state = _FORWARD_STATES[forward.state]
        if forward.state == "pending" and not is_connected:
            state = "stopped"
        sign = (f"class:state.{state}", f"{glyphs.states[state]} ")
        flows = f"  {glyphs.inward} {format_size(forward.bytes_in):>6}  {glyphs.outward} "
        flows += f"{format_size(forward.bytes_out):>6}"
        clients = f"  {forward.connections} open of {forward.connections_total}"
        name = ("class:forwards", align_left(text, room, glyphs.ellipsis))
        lines.append([sign, name, ("class:number", flows), ("class:quiet", clients)])
        lines[-1].append(_render_check(forward.check))
    return lines


def _render_check(check: CheckSnapshot | None) -> Fragment:
    """What a forward's own check found last; why it failed is told as the forward's failure."""
    match check:
        case CheckSnapshot(ok=True, ms=float(ms)):
            return "class:state.up", f"  {check.kind} {format_milliseconds(ms)}"
        case CheckSnapshot(ok=False):
            return "class:state.blocked", f"  {check.kind} failed"
        case CheckSnapshot():
            return "class:quiet", f"  {check.kind} not known"
    return "", ""


def _render_failure(
    failure: FailureSnapshot, tunnel: TunnelSnapshot, now: Moment, cells: int, glyphs: Glyphs
) -> list[Line]:
    cause = glyphs.printable(failure.cause.replace("_", " "))
    style = f"class:failure.{tunnel.state}"
    when = ("class:quiet", f"  {time_since(failure.at, now.wall)} ago")
    where = glyphs.printable(f"  {failure.hop}") if failure.hop else ""
    lines: list[Line] = [[(style, cause), ("class:host", where), when]]
    lines += [[("", text)] for text in wrap(glyphs.printable(failure.message), cells)]
    if failure.hint:
        first, *rest = wrap(glyphs.printable(failure.hint), cells - 3)
        lines.append([("class:hint", f"{glyphs.arrow} {first}")])
        lines += [[("class:hint", f"  {text}")] for text in rest]
    return lines


def _render_traffic(
    tunnel: TunnelSnapshot, model: Model, cells: int, height: int, glyphs: Glyphs
) -> list[Line]:
    """The traffic both ways as a chart, its numbers above it and its time below."""
    if cells < 20:
        return []
    rates = model.series(tunnel.name, cells)
    rate = model.rate(tunnel.name)
    values = [each.total for each in rates]
    title: Line = [
        ("class:label", "Traffic"),
        ("class:number", f"  {glyphs.inward} {format_size(int(rate.inbound))}/s"),
        ("class:number", f"  {glyphs.outward} {format_size(int(rate.outbound))}/s"),
    ]
    lines: list[Line] = [
        [("class:curve", line)] for line in draw_chart(values, height, glyphs.bars)
    ]
    top = f"{format_duration(cells)} ago, up to {format_size(int(chart_scale(values)))}/s"
    axis: Line = [("class:quiet", align_left(top, cells - 3, "") + "now")]
    return [title, *lines, axis]


def _render_events(tunnel: TunnelSnapshot, model: Model, now: Moment, glyphs: Glyphs) -> list[Line]:
    own = model.tunnel_records(tunnel.name)
    records: Sequence[LogRecord] = list(own) if own is not None else []
    if own is None:
        records = [record for record in model.records if record.tunnel == tunnel.name]
    lines = [
        render_record(record, now, 10_000, glyphs, with_name=False)[0]
        for record in records[-MAX_EVENTS:]
    ]
    return _label_lines("Events", lines)
