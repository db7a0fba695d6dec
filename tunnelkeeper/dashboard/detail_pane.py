"""The pane of the chosen tunnel: hops, forwards, failure, cipher, events, and its traffic; pure."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from tunnelkeeper.core.snapshot import CheckSnapshot
from tunnelkeeper.dashboard.glyphs import chart, rule, scale_of
from tunnelkeeper.dashboard.log_pane import record_lines
from tunnelkeeper.dashboard.table_rows import CONNECTED, forward_words
from tunnelkeeper.dashboard.text_width import Fragment, Line, fitted, left, width, wrapped
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

LABEL = 10
"""Cells of the words at the left."""

SIDE_BY_SIDE = 100
"""Cells from which on the traffic is drawn beside the facts, not below them."""

EVENTS = 4
FLOWS = 38
"""Cells for the sign, the counters and the clients of a forward."""

CHECK = 13
"""Cells for what a check found."""

CHART_LEAST, CHART_MOST = 3, 10
_FORWARD_STATES: dict[ForwardState, StateName] = {
    "listening": "up",
    "pending": "connecting",
    "failed": "blocked",
}


def detail(
    tunnel: TunnelSnapshot, board: Model, now: Moment, cells: int, signs: Glyphs
) -> list[Line]:
    """The pane, its rule first; as long as what there is to tell."""
    head = rule(_title(tunnel, now, signs), _facts(tunnel, signs), cells, signs)
    if cells < SIDE_BY_SIDE:
        drawn = _drawn(tunnel, board, cells - LABEL - 1, CHART_LEAST, signs)
        lines = _told(tunnel, now, cells, signs) + [[("", " " * LABEL), *line] for line in drawn]
        lines += _events(tunnel, board, now, signs)
        return [head, *(fitted(line, cells, signs.ellipsis) for line in lines)]
    room = cells * 2 // 3
    told = _told(tunnel, now, room - 2, signs) + _events(tunnel, board, now, signs)
    height = min(max(CHART_LEAST, len(told) - 2), CHART_MOST)
    drawn = _drawn(tunnel, board, cells - room - 1, height, signs)
    nothing: Line = []
    beside: list[Line] = []
    for one, other in zip_longest(told, drawn, fillvalue=nothing):
        beside.append([*fitted(one, room - 2, signs.ellipsis), ("", "  "), *other])
    return [head, *(fitted(line, cells, signs.ellipsis) for line in beside)]


def _title(tunnel: TunnelSnapshot, now: Moment, signs: Glyphs) -> Line:
    state = (f"class:state.{tunnel.state}", f"{signs.states[tunnel.state]} {tunnel.state}")
    since = ("class:quiet", f"since {time_since(tunnel.since, now.wall)}")
    retry: Line = []
    if tunnel.retry_at is not None:
        tries = f"tried {tunnel.attempt} times, again in {time_until(tunnel.retry_at, now.wall)}"
        retry = [("class:countdown", f", {tries}")]
    name = ("class:title", signs.text(tunnel.name))
    return [name, ("", "  "), state, ("", " "), since, *retry]


def _facts(tunnel: TunnelSnapshot, signs: Glyphs) -> Line:
    groups = ", ".join(tunnel.groups)
    facts = [tunnel.cipher or "", f"restarts {tunnel.restarts}"]
    facts += [f"groups {groups}"] if groups else []
    return [("class:quiet", signs.text(f" {signs.dot} ".join(f for f in facts if f)))]


def _told(tunnel: TunnelSnapshot, now: Moment, cells: int, signs: Glyphs) -> list[Line]:
    lines = _labelled("Hops", _hops(tunnel, signs))
    lines += _labelled("Forwards", _forwards(tunnel, cells, signs))
    failures = [tunnel.failure, *(forward.failure for forward in tunnel.forwards)]
    if tunnel.replacement is not None:
        lines += _labelled("Replaced", [_replacement(tunnel.replacement, now, signs)])
        failures.append(tunnel.replacement.failure)
    shown: set[str] = set()
    for failure in failures:
        if failure is not None and failure.message not in shown:
            shown.add(failure.message)
            lines += _labelled("Failure", _failure(failure, tunnel, now, cells - LABEL, signs))
    return lines


def _labelled(label: str, lines: Sequence[Line]) -> list[Line]:
    labels = [label if index == 0 else "" for index in range(len(lines))]
    return [
        [("class:label", left(f" {word}", LABEL, "")), *line]
        for word, line in zip(labels, lines, strict=True)
    ]


def _hops(tunnel: TunnelSnapshot, signs: Glyphs) -> list[Line]:
    hosts = [*tunnel.jump, tunnel.host]
    if not tunnel.hops:
        return [[("class:quiet", signs.text(host))] for host in hosts]
    room = max(len(signs.text(hop.host)) for hop in tunnel.hops)
    lines: list[Line] = []
    for hop in tunnel.hops:
        state: StateName = "up" if hop.connected else "stopped"
        sign = (f"class:state.{state}", f"{signs.states[state]} ")
        rtt = "" if hop.rtt_ms is None else f"  {format_milliseconds(hop.rtt_ms)}"
        step = ""
        if tunnel.progress is not None and tunnel.progress.hop == hop.host:
            step = f"  {tunnel.progress.step.replace('_', ' ')}"
        host = ("class:host", left(signs.text(hop.host), room, signs.ellipsis))
        lines.append([sign, host, ("class:number", rtt), ("class:state.connecting", step)])
    return lines


def _replacement(replacement: ReplacementSnapshot, now: Moment, signs: Glyphs) -> Line:
    match replacement.state:
        case "connecting":
            sign, words = signs.states["connecting"], f"a new connection, try {replacement.attempt}"
            if (progress := replacement.progress) is not None:
                words += f": {progress.step.replace('_', ' ')}  {progress.hop}"
            style = "class:state.connecting"
        case "backoff":
            sign, words = signs.states["backoff"], f"not yet, tried {replacement.attempt} times"
            if replacement.retry_at is not None:
                words += f", again in {time_until(replacement.retry_at, now.wall)}"
            style = "class:state.backoff"
        case "draining":
            sign, words = signs.states["stopping"], f"{replacement.connections} open on the old one"
            if replacement.closes_at is not None:
                words += f", closed in {time_until(replacement.closes_at, now.wall)} at the latest"
            style = "class:state.stopping"
    return [(style, f"{sign} "), ("", signs.text(words))]


def _forwards(tunnel: TunnelSnapshot, cells: int, signs: Glyphs) -> list[Line]:
    texts = [forward_words(forward, signs) for forward in tunnel.forwards]
    besides = FLOWS + (CHECK if any(forward.check for forward in tunnel.forwards) else 0)
    room = min(max(map(width, texts), default=0), max(16, cells - LABEL - besides))
    is_connected = tunnel.state in CONNECTED
    lines: list[Line] = []
    for forward, text in zip(tunnel.forwards, texts, strict=True):
        state = _FORWARD_STATES[forward.state]
        if forward.state == "pending" and not is_connected:
            state = "stopped"
        sign = (f"class:state.{state}", f"{signs.states[state]} ")
        flows = f"  {signs.inward} {format_size(forward.bytes_in):>6}  {signs.outward} "
        flows += f"{format_size(forward.bytes_out):>6}"
        clients = f"  {forward.connections} open of {forward.connections_total}"
        name = ("class:forwards", left(text, room, signs.ellipsis))
        lines.append([sign, name, ("class:number", flows), ("class:quiet", clients)])
        lines[-1].append(_check(forward.check))
    return lines


def _check(check: CheckSnapshot | None) -> Fragment:
    """What a forward's own check found last; why it failed is told as the forward's failure."""
    match check:
        case CheckSnapshot(ok=True, ms=float(ms)):
            return "class:state.up", f"  {check.kind} {format_milliseconds(ms)}"
        case CheckSnapshot(ok=False):
            return "class:state.blocked", f"  {check.kind} failed"
        case CheckSnapshot():
            return "class:quiet", f"  {check.kind} not known"
    return "", ""


def _failure(
    failure: FailureSnapshot, tunnel: TunnelSnapshot, now: Moment, cells: int, signs: Glyphs
) -> list[Line]:
    cause = signs.text(failure.cause.replace("_", " "))
    style = f"class:failure.{tunnel.state}"
    when = ("class:quiet", f"  {time_since(failure.at, now.wall)} ago")
    where = signs.text(f"  {failure.hop}") if failure.hop else ""
    lines: list[Line] = [[(style, cause), ("class:host", where), when]]
    lines += [[("", text)] for text in wrapped(signs.text(failure.message), cells)]
    if failure.hint:
        first, *rest = wrapped(signs.text(failure.hint), cells - 3)
        lines.append([("class:hint", f"{signs.arrow} {first}")])
        lines += [[("class:hint", f"  {text}")] for text in rest]
    return lines


def _drawn(
    tunnel: TunnelSnapshot, board: Model, cells: int, height: int, signs: Glyphs
) -> list[Line]:
    """The traffic both ways as a chart, its numbers above it and its time below."""
    if cells < 20:
        return []
    rates = board.series(tunnel.name, cells)
    rate = board.rate(tunnel.name)
    values = [each.total for each in rates]
    title: Line = [
        ("class:label", "Traffic"),
        ("class:number", f"  {signs.inward} {format_size(int(rate.inbound))}/s"),
        ("class:number", f"  {signs.outward} {format_size(int(rate.outbound))}/s"),
    ]
    lines: list[Line] = [[("class:curve", line)] for line in chart(values, height, signs.bars)]
    top = f"{format_duration(cells)} ago, up to {format_size(int(scale_of(values)))}/s"
    axis: Line = [("class:quiet", left(top, cells - 3, "") + "now")]
    return [title, *lines, axis]


def _events(tunnel: TunnelSnapshot, board: Model, now: Moment, signs: Glyphs) -> list[Line]:
    own = board.tunnel_records(tunnel.name)
    records: Sequence[LogRecord] = list(own) if own is not None else []
    if own is None:
        records = [record for record in board.records if record.tunnel == tunnel.name]
    lines = [
        record_lines(record, now, 10_000, signs, with_name=False)[0] for record in records[-EVENTS:]
    ]
    return _labelled("Events", lines)
