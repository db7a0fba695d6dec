"""Renders the pane of the selected tunnel: hops, forwards, failures, events and traffic. Pure."""

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
from tunnelkeeper.presentation.question_text import command_to_answer
from tunnelkeeper.presentation.tunnel_text import (
    client_failure_text,
    format_forward,
    format_progress,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.snapshot import (
        FailureSnapshot,
        ForwardState,
        LogRecord,
        QuestionSnapshot,
        ReplacementSnapshot,
        StateName,
        TunnelSnapshot,
    )
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import Moment

LABEL_WIDTH = 10
"""Cells of the labels on the left."""

SIDE_BY_SIDE_WIDTH = 100
"""Cells of the narrowest screen that has the traffic chart on the right, not below."""

MAX_EVENTS = 4
COUNTERS_WIDTH = 38
"""Cells for the glyph, the byte counters and the clients of a forward."""

CHECK_WIDTH = 13
"""Cells for the result of a health check."""

MIN_CHART_HEIGHT, MAX_CHART_HEIGHT = 3, 10
_FORWARD_STATES: dict[ForwardState, StateName] = {
    "listening": "up",
    "pending": "connecting",
    "failed": "blocked",
}


def render_detail(
    tunnel: TunnelSnapshot, model: Model, now: Moment, cells: int, glyphs: Glyphs
) -> list[Line]:
    """Return the pane, with its title as the first line. Its length depends on the tunnel."""
    summary = _render_summary(tunnel, glyphs)
    title = pane_title(_render_title(tunnel, now, glyphs), summary, cells, glyphs)
    events = _render_events(tunnel, model, now, glyphs)
    if cells < SIDE_BY_SIDE_WIDTH:
        traffic = _render_traffic(tunnel, model, cells - LABEL_WIDTH - 1, MIN_CHART_HEIGHT, glyphs)
        lines = _render_sections(tunnel, model, now, cells, glyphs)
        lines += [[("", " " * LABEL_WIDTH), *line] for line in traffic]
        lines += events
        return [title, *(fit_line(line, cells, glyphs.ellipsis) for line in lines)]
    left_width = cells * 2 // 3
    left = _render_sections(tunnel, model, now, left_width - 2, glyphs) + events
    height = min(max(MIN_CHART_HEIGHT, len(left) - 2), MAX_CHART_HEIGHT)
    traffic = _render_traffic(tunnel, model, cells - left_width - 1, height, glyphs)
    empty: Line = []
    lines = []
    for left_line, right_line in zip_longest(left, traffic, fillvalue=empty):
        fitted = fit_line(left_line, left_width - 2, glyphs.ellipsis)
        lines.append([*fitted, ("", "  "), *right_line])
    return [title, *(fit_line(line, cells, glyphs.ellipsis) for line in lines)]


def _render_title(tunnel: TunnelSnapshot, now: Moment, glyphs: Glyphs) -> Line:
    state = (f"class:state.{tunnel.state}", f"{glyphs.states[tunnel.state]} {tunnel.state}")
    since = ("class:quiet", f"since {time_since(tunnel.since, now.wall)}")
    retry: Line = []
    if tunnel.retry_at is not None:
        wait = time_until(tunnel.retry_at, now.wall)
        text = f", attempt {tunnel.attempt} failed, trying again in {wait}"
        retry = [("class:countdown", text)]
    name = ("class:title", glyphs.printable(tunnel.name))
    return [name, ("", "  "), state, ("", " "), since, *retry]


def _render_summary(tunnel: TunnelSnapshot, glyphs: Glyphs) -> Line:
    """Return the cipher, the number of restarts and the groups."""
    groups = ", ".join(tunnel.groups)
    facts = [tunnel.cipher or "", f"restarts {tunnel.restarts}"]
    facts += [f"groups {groups}"] if groups else []
    return [("class:quiet", glyphs.printable(f" {glyphs.dot} ".join(f for f in facts if f)))]


def _render_sections(
    tunnel: TunnelSnapshot, model: Model, now: Moment, cells: int, glyphs: Glyphs
) -> list[Line]:
    """Return hops, forwards, question, replacement and each failure once, all labelled."""
    lines = _label_lines("Hops", _render_hops(tunnel, glyphs))
    lines += _label_lines("Forwards", _render_forwards(tunnel, cells, glyphs))
    clients = _render_client_failures(tunnel, now, cells - LABEL_WIDTH, glyphs)
    lines += _label_lines("Clients", clients)
    failures = [tunnel.failure, *(forward.failure for forward in tunnel.forwards)]
    question = model.awaited_by(tunnel.name)
    if question is not None:
        width = cells - LABEL_WIDTH
        lines += _label_lines("Question", _render_question(question, tunnel, width, glyphs))
        failures = [f for f in failures if f is None or f.question != question.id]
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
    """Put a label before the first line, and indent the others."""
    return [
        [("class:label", align_left(f" {label}" if index == 0 else "", LABEL_WIDTH, "")), *line]
        for index, line in enumerate(lines)
    ]


def _render_hops(tunnel: TunnelSnapshot, glyphs: Glyphs) -> list[Line]:
    hosts = [*tunnel.jump, tunnel.host]
    if not tunnel.hops:
        return [[("class:quiet", glyphs.printable(host))] for host in hosts]
    width = max(len(glyphs.printable(hop.host)) for hop in tunnel.hops)
    lines: list[Line] = []
    for hop in tunnel.hops:
        state: StateName = "up" if hop.connected else "stopped"
        glyph = (f"class:state.{state}", f"{glyphs.states[state]} ")
        rtt = "" if hop.rtt_ms is None else f"  {format_milliseconds(hop.rtt_ms)}"
        if hop.connected and hop.answers_keepalives is False:
            rtt += "  answers no keepalives"
        step = ""
        if tunnel.progress is not None and tunnel.progress.hop == hop.host:
            step = f"  {format_progress(tunnel.progress).replace('_', ' ')}"
        host = ("class:host", align_left(glyphs.printable(hop.host), width, glyphs.ellipsis))
        lines.append([glyph, host, ("class:number", rtt), ("class:state.connecting", step)])
    return lines


def _render_question(
    question: QuestionSnapshot, tunnel: TunnelSnapshot, cells: int, glyphs: Glyphs
) -> list[Line]:
    """Return what the tunnel waits for, and how to answer it. Secrets are typed elsewhere."""
    texts = [question.text, f"{question.problem[:1].upper()}{question.problem[1:]}"]
    lines: list[Line] = [
        [("", line)] for text in texts if text for line in wrap(glyphs.printable(text), cells)
    ]
    if question.kind == "touch":
        return lines
    failure = tunnel.failure
    hint = f"on a terminal: {command_to_answer(question)}"
    if failure is not None and failure.question == question.id and failure.hint:
        hint = failure.hint
    first, *rest = wrap(glyphs.printable(f"A answers it here; or {hint}"), cells - 3)
    lines.append([("class:hint", f"{glyphs.arrow} {first}")])
    return lines + [[("class:hint", f"  {text}")] for text in rest]


def _render_replacement(replacement: ReplacementSnapshot, now: Moment, glyphs: Glyphs) -> Line:
    match replacement.state:
        case "connecting":
            state: StateName = "connecting"
            text = f"new connection, attempt {replacement.attempt}"
            if (progress := replacement.progress) is not None:
                text += f": {format_progress(progress).replace('_', ' ')}  {progress.hop}"
        case "backoff":
            state, text = "backoff", f"attempt {replacement.attempt} failed"
            if replacement.retry_at is not None:
                text += f", trying again in {time_until(replacement.retry_at, now.wall)}"
        case "draining":
            state, text = "stopping", f"{replacement.connections} open on the old connection"
            if replacement.closes_at is not None:
                text += f", closes in at most {time_until(replacement.closes_at, now.wall)}"
    return [(f"class:state.{state}", f"{glyphs.states[state]} "), ("", glyphs.printable(text))]


def _render_forwards(tunnel: TunnelSnapshot, cells: int, glyphs: Glyphs) -> list[Line]:
    texts = [forward_text(forward, glyphs) for forward in tunnel.forwards]
    has_check = any(forward.check for forward in tunnel.forwards)
    counters_width = COUNTERS_WIDTH + (CHECK_WIDTH if has_check else 0)
    room = max(16, cells - LABEL_WIDTH - counters_width)
    width = min(max(map(cell_width, texts), default=0), room)
    is_connected = tunnel.state in CONNECTED
    lines: list[Line] = []
    for forward, text in zip(tunnel.forwards, texts, strict=True):
        state = _FORWARD_STATES[forward.state]
        if forward.state == "pending" and not is_connected:
            state = "stopped"
        glyph = (f"class:state.{state}", f"{glyphs.states[state]} ")
        traffic = f"  {glyphs.inbound} {format_size(forward.bytes_in):>6}"
        traffic += f"  {glyphs.outbound} {format_size(forward.bytes_out):>6}"
        clients = f"  {forward.connections} open of {forward.connections_total}"
        name = ("class:forwards", align_left(text, width, glyphs.ellipsis))
        counters = [("class:number", traffic), ("class:quiet", clients)]
        lines.append([glyph, name, *counters, _render_check(forward.check)])
    return lines


def _render_client_failures(
    tunnel: TunnelSnapshot, now: Moment, cells: int, glyphs: Glyphs
) -> list[Line]:
    """Return the forwards whose last client failed, with the number, the time and the reason."""
    texts = [
        f"{format_forward(forward)}: {text}"
        for forward in tunnel.forwards
        if (text := client_failure_text(forward, now.wall))
    ]
    return [[("", line)] for text in texts for line in wrap(glyphs.printable(text), cells)]


def _render_check(check: CheckSnapshot | None) -> Fragment:
    """Return the last result of a forward's check. The forward's failure has the reason."""
    match check:
        case CheckSnapshot(ok=True, ms=float(ms)):
            return "class:state.up", f"  {check.kind} {format_milliseconds(ms)}"
        case CheckSnapshot(ok=False):
            return "class:state.blocked", f"  {check.kind} failed"
        case CheckSnapshot():
            return "class:quiet", f"  {check.kind} unknown"
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
    """Return a chart of the traffic in both directions, with its rates above and its span below."""
    if cells < 20:
        return []
    rates = model.throughput_history(tunnel.name, cells)
    current = model.throughput(tunnel.name)
    values = [rate.total for rate in rates]
    title: Line = [
        ("class:label", "Traffic"),
        ("class:number", f"  {glyphs.inbound} {format_size(int(current.inbound))}/s"),
        ("class:number", f"  {glyphs.outbound} {format_size(int(current.outbound))}/s"),
    ]
    lines: list[Line] = [
        [("class:curve", line)] for line in draw_chart(values, height, glyphs.bars)
    ]
    span = f"{format_duration(cells)} ago, up to {format_size(int(chart_scale(values)))}/s"
    axis: Line = [("class:quiet", align_left(span, cells - 3, "") + "now")]
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
