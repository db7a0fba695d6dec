"""Renders the open question as a box over the table. Pure.

It shows the text of the server only with the host's name, and what is typed only if the server
permits an echo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.text_width import Line, align_left, fit_line, line_width, wrap
from tunnelkeeper.presentation.text_layout import cell_width
from tunnelkeeper.presentation.tunnel_text import format_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.snapshot import QuestionSnapshot
    from tunnelkeeper.dashboard.answering import AnswerField, Answering
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import Moment

MAX_WIDTH = 100
"""Cells of the widest box. Longer lines are hard to read."""

LABEL_WIDTH = 11
MIN_TEXT_WIDTH = 50
"""Cells left of the random art, enough for a fingerprint."""

ART_GAP = 2
MIN_FIELD_WIDTH = 16
"""Cells that a field needs right of its prompt. Otherwise it has a line of its own."""

TITLES = {
    "passphrase": "passphrase of a key",
    "password": "password",
    "codes": "login",
    "host_key": "unknown host key",
    "touch": "touch",
}


def render_dialog(
    mode: Answering, model: Model, now: Moment, cells: int, height: int, glyphs: Glyphs
) -> list[Line]:
    """Return the box, at most as large as the space. All lines have the same width."""
    width = min(MAX_WIDTH, cells)
    inner, room = width - 4, max(1, height - 2)
    end = _render_end(mode, model, now, inner, glyphs)
    fields, focus = _render_fields(mode, inner, glyphs)
    text = _render_text(mode, inner, room - len(fields) - len(end), glyphs)
    top = [*text, *fields]
    visible = max(1, room - len(end))
    # The field with the focus stays visible, unless the text was scrolled back.
    first = max(0, len(text) + focus + 1 - visible) if fields else 0
    first = max(0, min(first - mode.scrolled, len(top) - visible)) if mode.scrolled else first
    shown = [*top[first : first + visible], *end[: room - 1]]
    is_cut = first > 0 or len(top) > visible
    lines = [_frame(line, width, glyphs) for line in shown[:room]]
    title: Line = [("class:title", _title(mode.question, model))]
    more: Line = [("class:quiet", "PageUp, PageDown: more text")] if is_cut else []
    return [_edge(title, width, glyphs, 0), *lines, _edge(more, width, glyphs, 1)]


def _title(question: QuestionSnapshot, model: Model) -> str:
    ids = [q.id for q in model.questions.values() if q.kind != "touch"]
    title = TITLES[question.kind]
    if question.id not in ids or len(ids) < 2:
        return title
    return f"{title}, question {ids.index(question.id) + 1} of {len(ids)}"


def _render_text(mode: Answering, inner: int, room: int, glyphs: Glyphs) -> list[Line]:
    """Return what the question is about, with random art beside it if there is space."""
    key = mode.question.host_key
    if key is not None and key.art:
        art = [glyphs.printable(line) for line in key.art.splitlines()]
        art_width = max(map(cell_width, art))
        left_width = inner - art_width - ART_GAP
        left = _render_facts(mode.question, left_width, glyphs)
        if left_width >= MIN_TEXT_WIDTH and max(len(left), len(art)) <= room:
            return _put_side_by_side(left, left_width, art)
    return _render_facts(mode.question, inner, glyphs)


def _put_side_by_side(left: list[Line], left_width: int, art: list[str]) -> list[Line]:
    count = max(len(left), len(art))
    left = [*left, *([] for _ in range(count - len(left)))]
    art = [*art, *("" for _ in range(count - len(art)))]
    return [
        [*fit_line(line, left_width + ART_GAP, ""), ("class:art", drawn)]
        for line, drawn in zip(left, art, strict=True)
    ]


def _render_facts(question: QuestionSnapshot, cells: int, glyphs: Glyphs) -> list[Line]:
    label = "Key file" if question.kind == "passphrase" else "Host"
    lines = _labelled(label, [question.about], cells, glyphs)
    if question.tunnels:
        lines += _labelled("Tunnels", [", ".join(question.tunnels)], cells, glyphs)
    if question.kind != "passphrase":  # its prompt says it all
        text = question.text.removeprefix(f"{question.about}: ")  # it is named above
        lines += [[], *([("", piece)] for piece in wrap(glyphs.printable(text), cells))]
    key = question.host_key
    if key is not None:
        lines.append([])
        lines += _labelled("Algorithm", [key.algorithm], cells, glyphs)
        lines += _labelled("Fingerprint", [key.fingerprint], cells, glyphs)
        lines += _labelled("Searched", key.files, cells, glyphs)
        names = key.other_names or ["this key is not known by another name"]
        lines += _labelled("Also known", names, cells, glyphs)
    return lines


def _labelled(label: str, values: Sequence[str], cells: int, glyphs: Glyphs) -> list[Line]:
    """Return a label and its values. One that fits on a line of its own is not wrapped."""
    lines: list[Line] = []
    head = align_left(label, LABEL_WIDTH + 1, "")
    for text in map(glyphs.printable, values):
        if LABEL_WIDTH + 1 < cell_width(text) <= cells < cell_width(text) + LABEL_WIDTH + 1:
            lines += [[("class:label", head)]] if head.strip() else []
            lines.append([("", text)])
            head = " " * (LABEL_WIDTH + 1)
            continue
        for piece in wrap(text, max(1, cells - LABEL_WIDTH - 1)):
            lines.append([("class:label", head), ("", piece)])
            head = " " * (LABEL_WIDTH + 1)
    return lines


def _render_fields(mode: Answering, inner: int, glyphs: Glyphs) -> tuple[list[Line], int]:
    """Return the fields, and the number of the line of the one with the focus."""
    lines: list[Line] = [[]] if mode.fields and mode.stage != "done" else []
    focus = 0
    for index, each in enumerate(mode.fields if mode.stage != "done" else ()):
        has_focus = index == mode.focus and mode.stage == "open"
        lines += _render_field(each, inner, glyphs, has_focus=has_focus)
        if index == mode.focus:
            focus = len(lines) - 1
    return lines, focus


def _render_field(each: AnswerField, inner: int, glyphs: Glyphs, *, has_focus: bool) -> list[Line]:
    style = "class:prompt" if has_focus else "class:label"
    mark = f"{glyphs.arrow} " if has_focus else " " * (cell_width(glyphs.arrow) + 1)
    pieces = wrap(glyphs.printable(each.label.strip()), inner - cell_width(mark))
    lines: list[Line] = [
        [(style, (mark if n == 0 else " " * len(mark)) + piece)] for n, piece in enumerate(pieces)
    ]
    if inner - line_width(lines[-1]) - 1 < MIN_FIELD_WIDTH:
        lines.append([("", " " * (len(mark) - 1))])
    room = inner - line_width(lines[-1]) - 2
    typed = _keep_end(glyphs.printable(each.shown(glyphs.mask)), room)
    lines[-1] += [("", " "), ("class:typed", typed), ("class:cursor" if has_focus else "", " ")]
    return lines


def _keep_end(text: str, cells: int) -> str:
    while cell_width(text) > cells:
        text = text[1:]
    return text


def _render_end(
    mode: Answering, model: Model, now: Moment, inner: int, glyphs: Glyphs
) -> list[Line]:
    """Return why the last answer does not serve, and what happens next."""
    lines: list[Line] = [[]]
    problem = glyphs.printable(mode.problem)
    if problem:
        text = f"{problem[:1].upper()}{problem[1:]}"
        lines += [[("class:message.error", piece)] for piece in wrap(text, inner)]
    style, text = _describe_stage(mode, model, now)
    lines += [[(style, piece)] for piece in wrap(glyphs.printable(text), inner) if text]
    return lines if len(lines) > 1 else []


def _describe_stage(mode: Answering, model: Model, now: Moment) -> tuple[str, str]:
    question = mode.question
    match mode.stage:
        case "resting":
            return "class:notice", "Log in now? Enter starts the login."
        case "starting":
            return "class:quiet", f"Logging in{_login_step(question, model)}"
        case "sending":
            return "class:quiet", "Sent; waiting for the result."
        case "done":
            others = [q for q in model.questions.values() if q.kind != "touch"]
            others = [q for q in others if q.id != question.id]
            more = f" {_count(len(others))} open: Ctrl-N shows the next." if others else ""
            return "class:notice", f"{mode.outcome}{more} Enter closes this."
    left = model.seconds_left(question.id, now.monotonic)
    if left is not None:
        return "class:countdown", f"The login ends in {int(left)} s."
    return "class:quiet", ""


def _login_step(question: QuestionSnapshot, model: Model) -> str:
    for name in question.tunnels:
        tunnel = model.tunnels.get(name)
        if tunnel is not None and tunnel.progress is not None:
            step = format_progress(tunnel.progress).replace("_", " ")
            return f": {tunnel.progress.hop}: {step}"
    return "."


def _count(number: int) -> str:
    return "1 question is" if number == 1 else f"{number} questions are"


def _frame(line: Line, width: int, glyphs: Glyphs) -> Line:
    side = ("class:frame", glyphs.frame[4])
    return [side, ("", " "), *fit_line(line, width - 4, glyphs.ellipsis), ("", " "), side]


def _edge(title: Line, width: int, glyphs: Glyphs, row: int) -> Line:
    """Return the top (row 0) or bottom (row 1) edge, with a title in it."""
    line: Line = [("class:frame", glyphs.frame[2 * row] + glyphs.rule)]
    if title and line_width(title) + 6 <= width:
        line += [("", " "), *title, ("", " ")]
    rule = glyphs.rule * (width - line_width(line) - 1)
    return [*line, ("class:frame", rule + glyphs.frame[2 * row + 1])]


def place_over(parts: Sequence[list[Line]], box: list[Line], cells: int) -> list[list[Line]]:
    """Put a box over the middle of the parts of a screen, which keep their heights."""
    lines = [line for part in parts for line in part]
    width = line_width(box[0]) if box else 0
    left, top = (cells - width) // 2, max(0, (len(lines) - len(box)) // 2)
    for row, boxed in enumerate(box[: len(lines)], start=top):
        before = fit_line(lines[row], left, "")
        after = _drop_cells(lines[row], left + width)
        lines[row] = fit_line([*before, *boxed, *after], cells, "")
    placed, start = [], 0
    for part in parts:
        placed.append(lines[start : start + len(part)])
        start += len(part)
    return placed


def _drop_cells(line: Line, cells: int) -> Line:
    """Return the line without its first cells. Half of a wide character becomes a blank."""
    rest: Line = []
    for style, text in line:
        kept = ""
        for character in text:
            width = cell_width(character)
            if cells <= 0:
                kept += character
            elif width > cells:
                kept += " " * (width - cells)
            cells -= width
        if kept:
            rest.append((style, kept))
    return rest
