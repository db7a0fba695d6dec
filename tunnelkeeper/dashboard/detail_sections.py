"""The sections of the detail pane: problems, hops, forwards and clients of a tunnel. Pure.

Each section has a label on the left. Nothing is cut: long texts are wrapped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.snapshot import CheckSnapshot, HopSnapshot
from tunnelkeeper.dashboard.table_rows import CONNECTED, forward_text, listener_text
from tunnelkeeper.dashboard.text_width import (
    Fragment,
    Line,
    align_left,
    align_right,
    flow,
    line_width,
    wrap,
)
from tunnelkeeper.presentation.formatting import (
    format_milliseconds,
    format_size,
    time_since,
    time_until,
)
from tunnelkeeper.presentation.question_text import command_to_answer
from tunnelkeeper.presentation.text_layout import cell_width
from tunnelkeeper.presentation.tunnel_text import (
    client_failure_text,
    format_forward,
    format_progress,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tunnelkeeper.core.snapshot import (
        FailureSnapshot,
        ForwardSnapshot,
        ForwardState,
        QuestionSnapshot,
        ReplacementSnapshot,
        StateName,
        TunnelSnapshot,
    )
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import Moment

LABEL_WIDTH = 12
"""Cells of the labels on the left. Texts begin where those of the log pane do."""

_FORWARD_STATES: dict[ForwardState, StateName] = {
    "listening": "up",
    "pending": "connecting",
    "failed": "blocked",
}


def render_sections(
    tunnel: TunnelSnapshot, model: Model, now: Moment, cells: int, glyphs: Glyphs
) -> list[Line]:
    """Return what a tunnel waits for, its failures, its hops, its forwards and their clients."""
    width = cells - LABEL_WIDTH
    question = model.awaited_by(tunnel.name)
    lines: list[Line] = []
    if question is not None:
        lines += label_lines("Question", _render_question(question, tunnel, width, glyphs))
    for failure, about in _distinct_failures(tunnel, question, glyphs):
        style = f"class:failure.{tunnel.state}"
        text = _render_failure(failure, about, style, now, width, glyphs)
        lines += label_lines("Failure", text, style)
        hint = wrap(glyphs.printable(failure.hint), width) if failure.hint else []
        lines += label_lines("Hint", [[("class:hint", line)] for line in hint], "class:hint.label")
    lines += label_lines("Hops", _render_hops(tunnel, width, glyphs))
    lines += label_lines("Forwards", _render_forwards(tunnel, width, glyphs))
    lines += label_lines("Clients", _render_client_failures(tunnel, now, width, glyphs))
    if tunnel.replacement is not None:
        replacement = _render_replacement(tunnel.replacement, now, width, glyphs)
        lines += label_lines("Replaced", replacement)
    return lines


def width_of_longest_address(tunnel: TunnelSnapshot, glyphs: Glyphs) -> int:
    """Return the cells of the line that has the longest address, which must not be broken."""
    texts = [hop.host for hop in hops_of(tunnel)]
    texts += [format_forward(forward) for forward in tunnel.forwards]
    words = (word for text in texts for word in glyphs.printable(text).split())
    return LABEL_WIDTH + 2 + max(map(cell_width, words), default=0)


def label_lines(label: str, lines: Sequence[Line], style: str = "class:label") -> list[Line]:
    """Put a label before the first line, and indent the others."""
    return [
        [(style, align_left(f" {label}" if index == 0 else "", LABEL_WIDTH, "")), *line]
        for index, line in enumerate(lines)
    ]


def _distinct_failures(
    tunnel: TunnelSnapshot, question: QuestionSnapshot | None, glyphs: Glyphs
) -> Iterator[tuple[FailureSnapshot, str]]:
    """Yield each failure once with what it is about: a forward, a hop, or nothing.

    The failure that the open question is about is left out.
    """
    # A degraded tunnel's failure is that of one of its forwards, which name it more precisely.
    found = [(f.failure, listener_text(f, glyphs)) for f in tunnel.forwards]
    own = tunnel.failure
    if own is not None and own.message not in {f.message for f, _ in found if f is not None}:
        hops = hops_of(tunnel)
        is_marked = any(hop.host == own.hop for hop in hops) and len(hops) > 1
        found.insert(0, (own, "" if is_marked else own.hop))
    if tunnel.replacement is not None and (failure := tunnel.replacement.failure) is not None:
        found.append((failure, failure.hop))
    shown: set[str] = set()
    for failure, about in found:
        if failure is None or failure.message in shown:
            continue
        if question is None or failure.question != question.id:
            shown.add(failure.message)
            yield failure, about


def _render_failure(
    failure: FailureSnapshot, about: str, style: str, now: Moment, cells: int, glyphs: Glyphs
) -> list[Line]:
    """Return the cause, what it is about and when it happened, and the message."""
    cause = (f"{style} bold", glyphs.printable(failure.cause.replace("_", " ")))
    when = ("class:quiet", f"{time_since(failure.at, now.wall)} ago")
    where = [("class:host", glyphs.printable(about))] if about else []
    return [
        *flow([cause, *where, when], cells),
        *_wrap_text(glyphs.printable(failure.message), cells),
    ]


def _render_hops(tunnel: TunnelSnapshot, cells: int, glyphs: Glyphs) -> list[Line]:
    """Return a line for each hop: its state, its round trip, and its failure or current step."""
    hops = hops_of(tunnel)
    names = [glyphs.printable(hop.host) for hop in hops]
    times = ["" if hop.rtt_ms is None else format_milliseconds(hop.rtt_ms) for hop in hops]
    name_width = min(max(map(cell_width, names)), cells - 2)
    time_width = max(map(cell_width, times))
    lines: list[Line] = []
    for hop, name, time in zip(hops, names, times, strict=True):
        state, note = _hop_state(hop, tunnel)
        fragments: Line = [("class:host", align_left(name, name_width, ""))]
        if cell_width(name) > name_width:
            fragments = [("class:host", name)]
        if time_width:
            fragments.append(("class:number", align_right(time, time_width, "")))
        fragments.append((f"class:word.{state}", glyphs.printable(note)))
        lines += _hang((f"class:state.{state}", glyphs.states[state]), flow(fragments, cells - 2))
    return lines


def hops_of(tunnel: TunnelSnapshot) -> list[HopSnapshot]:
    """Return the hops of a tunnel. Before its chain is resolved, they are named as in the file."""
    return list(tunnel.hops) or [
        HopSnapshot(h, connected=False) for h in (*tunnel.jump, tunnel.host)
    ]


def _hop_state(hop: HopSnapshot, tunnel: TunnelSnapshot) -> tuple[StateName, str]:
    """Return the state whose glyph and colour mark a hop, and a note about it."""
    if tunnel.progress is not None and tunnel.progress.hop == hop.host:
        return "connecting", format_progress(tunnel.progress).replace("_", " ")
    if hop.connected:
        notes = ["answers no keepalives"] if hop.answers_keepalives is False else []
        notes += ["kept in use"] if hop.unused_timeout is not None else []
        return "up", ", ".join(notes)
    if tunnel.failure is not None and tunnel.failure.hop == hop.host:
        return "blocked", tunnel.failure.cause.replace("_", " ")
    return "stopped", ""


def _render_question(
    question: QuestionSnapshot, tunnel: TunnelSnapshot, cells: int, glyphs: Glyphs
) -> list[Line]:
    """Return what the tunnel waits for, and how to answer it. Secrets are typed elsewhere."""
    texts = [question.text, f"{question.problem[:1].upper()}{question.problem[1:]}"]
    lines = [line for text in texts if text for line in _wrap_text(glyphs.printable(text), cells)]
    if question.kind == "touch":
        return lines
    failure = tunnel.failure
    hint = f"on a terminal: {command_to_answer(question)}"
    if failure is not None and failure.question == question.id and failure.hint:
        hint = failure.hint
    answer = wrap(glyphs.printable(f"A answers it here; or {hint}"), cells - 3)
    return lines + _hang(("class:hint", glyphs.arrow), [[("class:hint", text)] for text in answer])


def _render_replacement(
    replacement: ReplacementSnapshot, now: Moment, cells: int, glyphs: Glyphs
) -> list[Line]:
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
    glyph = (f"class:state.{state}", glyphs.states[state])
    return _hang(glyph, _wrap_text(glyphs.printable(text), cells - 2))


def _render_forwards(tunnel: TunnelSnapshot, cells: int, glyphs: Glyphs) -> list[Line]:
    """Return each forward with its counters and its check, in columns if all of them fit."""
    texts = [forward_text(forward, glyphs) for forward in tunnel.forwards]
    counters = [_render_counters(forward, glyphs) for forward in tunnel.forwards]
    width = max(map(cell_width, texts), default=0)
    room = cells - 2 - max((line_width(line) + 2 * len(line) for line in counters), default=0)
    if width > room:
        width = 0
    lines: list[Line] = []
    for forward, text, numbers in zip(tunnel.forwards, texts, counters, strict=True):
        state = _FORWARD_STATES[forward.state]
        if forward.state == "pending" and tunnel.state not in CONNECTED:
            state = "stopped"
        name = ("class:forwards", text + " " * (width - cell_width(text)))
        lines += _hang(
            (f"class:state.{state}", glyphs.states[state]), flow([name, *numbers], cells - 2)
        )
    return lines


def _render_counters(forward: ForwardSnapshot, glyphs: Glyphs) -> Line:
    """Return the bytes and the clients of a forward once it has had any, and its check."""
    counters: Line = []
    if forward.connections_total or forward.bytes_in or forward.bytes_out:
        received, sent = format_size(forward.bytes_in), format_size(forward.bytes_out)
        clients = f"{forward.connections} open of {forward.connections_total}"
        counters = [
            ("class:number", f"{glyphs.inbound} {received:>6}"),
            ("class:number", f"{glyphs.outbound} {sent:>6}"),
            ("class:quiet", clients),
        ]
    elif forward.state == "listening":
        counters = [("class:quiet", "no client yet")]
    return [*counters, check] if (check := _render_check(forward.check)) else counters


def _render_check(check: CheckSnapshot | None) -> Fragment | None:
    """Return the last result of a forward's check. The forward's failure has the reason."""
    match check:
        case CheckSnapshot(ok=True, ms=float(ms)):
            return "class:word.up", f"{check.kind} {format_milliseconds(ms)}"
        case CheckSnapshot(ok=False):
            return "class:word.blocked", f"{check.kind} failed"
        case CheckSnapshot():
            return "class:quiet", f"{check.kind} unknown"
    return None


def _render_client_failures(
    tunnel: TunnelSnapshot, now: Moment, cells: int, glyphs: Glyphs
) -> list[Line]:
    """Return the forwards whose last client failed, with the number, the time and the reason."""
    texts = [
        f"{format_forward(forward)}: {text}"
        for forward in tunnel.forwards
        if (text := client_failure_text(forward, now.wall))
    ]
    return [line for text in texts for line in _wrap_text(glyphs.printable(text), cells)]


def _wrap_text(text: str, cells: int) -> list[Line]:
    return [[("", line)] for line in wrap(text, cells)]


def _hang(glyph: Fragment, lines: Sequence[Line]) -> list[Line]:
    """Put a glyph before the first line, and indent the others."""
    style, character = glyph
    first = (style, f"{character} ")
    indent = ("", " " * (cell_width(character) + 1))
    return [[indent if index else first, *line] for index, line in enumerate(lines)]
