"""Renders the pane that follows the log, with as many of the newest lines as fit. Pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.folding import members
from tunnelkeeper.dashboard.glyphs import pane_title
from tunnelkeeper.dashboard.text_width import Line, fit_line, line_width, truncate, wrap
from tunnelkeeper.presentation.formatting import parse_time
from tunnelkeeper.presentation.text_layout import cell_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tunnelkeeper.core.snapshot import LogRecord
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import Moment, UiState

HINT_LABEL = "hint: "


def render_log_pane(
    model: Model, ui_state: UiState, now: Moment, cells: int, height: int
) -> list[Line]:
    """Return the pane with exactly `height` lines. The first line is its title."""
    glyphs = ui_state.glyphs
    name = "log"
    if ui_state.log_scope == "selected":
        group = ui_state.selected_group
        name = f"log of {ui_state.selected if group is None else f'group {group}'}"
    title: Line = [("class:title", glyphs.printable(name))]
    position = f"{ui_state.log_offset} back" if ui_state.log_offset else "following"
    right: Line = [("class:quiet", position)]
    if ui_state.search:
        right = [("class:search", f"/{glyphs.printable(ui_state.search)}"), ("", "  "), *right]
    with_name = ui_state.log_scope == "all" or ui_state.selected_group is not None
    room = max(0, height - 1)
    lines: list[Line] = []
    for record in islice(newest_first(model, ui_state), ui_state.log_offset, None):
        record_lines = render_record(record, now, cells - 1, glyphs, with_name=with_name)
        shown = [_highlight_search(line, ui_state.search) for line in record_lines]
        lines = [*_cut_end(shown, room - len(lines), cells - 1, glyphs), *lines]
        if len(lines) >= room:
            break
    blank: list[Line] = [[] for _ in range(room - len(lines))]
    body = [fit_line([("", " "), *line], cells, glyphs.ellipsis) for line in [*lines, *blank]]
    return [pane_title(title, right, cells, glyphs), *body]


def render_notes(notes: Sequence[str], cells: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Return the pane that shows notes instead of the log, with at most `height` lines."""
    lines: list[Line] = []
    for note in map(glyphs.printable, notes):
        text = note.lstrip()
        indent = " " * (1 + len(note) - len(text))
        pieces = wrap(text, max(10, cells - 2 - len(indent)))
        # A command that is continued on the next line is indented further.
        lines += [[("", f"{indent}{'  ' if index else ''}{p}")] for index, p in enumerate(pieces)]
    right = [("class:quiet", "l: log")]
    if len(lines) > height - 1:
        right = [
            ("class:notice", f"{max(0, height - 1)} of {len(lines)} lines"),
            ("", "  "),
            *right,
        ]
    title: Line = [("class:title", "try")]
    return [pane_title(title, right, cells, glyphs), *lines[: max(0, height - 1)]]


def _cut_end(lines: list[Line], count: int, cells: int, glyphs: Glyphs) -> list[Line]:
    """Return at most `count` lines. An ellipsis shows that the record is longer."""
    if len(lines) <= count or count < 1:
        return lines[:count]
    *start, (style, text) = lines[count - 1]
    room = cells - line_width(start)
    last = (style, truncate(f"{text} {glyphs.ellipsis}", room, glyphs.ellipsis))
    return [*lines[: count - 1], [*start, last]]


def newest_first(model: Model, ui_state: UiState) -> Iterator[LogRecord]:
    """Yield the records that match the scope and the search of the pane, newest first."""
    records: Sequence[LogRecord] = model.records
    names = _selected_names(model, ui_state) if ui_state.log_scope == "selected" else None
    if names is not None and len(names) == 1:
        own = model.tunnel_records(next(iter(names)))
        records = own if own is not None else model.records
    search = ui_state.search.lower()
    for record in reversed(records):
        if names is not None and record.tunnel not in names:
            continue
        if search and search not in "\n".join(record.lines).lower():
            continue
        yield record


def _selected_names(model: Model, ui_state: UiState) -> set[str]:
    """Return the selected tunnel, or all tunnels of the selected group."""
    if ui_state.selected_group is not None:
        return members(model, ui_state.selected_group)
    return set() if ui_state.selected is None else {ui_state.selected}


def render_record(
    record: LogRecord,
    now: Moment,
    cells: int,
    glyphs: Glyphs,
    *,
    with_name: bool,
    with_hint: bool = True,
) -> list[Line]:
    """Return a record as a line, or as several lines with the message indented if it is long.

    Its hint follows the message if both fit on a line, and has lines of its own otherwise.
    """
    time = parse_time(record.at).astimezone(now.wall.tzinfo).strftime("%H:%M:%S")
    name = f"{glyphs.printable(record.tunnel)}: " if with_name and record.tunnel else ""
    mark = (f"class:log.mark.{record.level}", _mark(record, glyphs))
    indent = len(f"{time}   ")
    room = max(10, cells - indent)
    first, *rest = wrap(glyphs.printable(f"{name}{record.message}"), room)
    style = f"class:log.{record.level}"
    line: Line = [("class:quiet", time), ("", " "), mark, ("", " ")]
    if name and first.startswith(name):
        line += [("class:name", name), (style, first.removeprefix(name))]
    else:
        line += [(style, first)]
    lines: list[Line] = [line, *([("", " " * indent), (style, text)] for text in rest)]
    hint = glyphs.printable(record.hint) if with_hint else ""
    if hint and not rest and cell_width(f"{first}  {HINT_LABEL}{hint}") <= room:
        line += [("class:quiet", f"  {HINT_LABEL}"), ("class:hint", hint)]
    elif hint:
        label: Line = [("", " " * indent), ("class:quiet", HINT_LABEL)]
        below: Line = [("", " " * (indent + len(HINT_LABEL)))]
        texts = wrap(hint, max(10, room - len(HINT_LABEL)))
        lines += [
            [*(below if index else label), ("class:hint", text)] for index, text in enumerate(texts)
        ]
    return lines


def _mark(record: LogRecord, glyphs: Glyphs) -> str:
    """Return a character for warnings and errors, which colours alone would not show to all."""
    match record.level:
        case "error":
            return glyphs.states["blocked"]
        case "warning":
            return "!"
    return " "


def _highlight_search(line: Line, search: str) -> Line:
    """Highlight the first match of the search in each fragment of a line."""
    if not search:
        return line
    highlighted: Line = []
    for style, text in line:
        start = text.lower().find(search.lower())
        if start < 0:
            highlighted.append((style, text))
            continue
        end = start + len(search)
        match = ("class:search", text[start:end])
        highlighted += [(style, text[:start]), match, (style, text[end:])]
    return highlighted
