"""The pane that follows the log: as many of the newest lines as fit; pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.glyphs import pane_title
from tunnelkeeper.dashboard.text_width import Line, fit_line, wrap
from tunnelkeeper.presentation.formatting import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tunnelkeeper.core.snapshot import LogRecord
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import Moment, UiState


def render_log_pane(
    model: Model, ui_state: UiState, now: Moment, cells: int, height: int
) -> list[Line]:
    """The pane, its rule first, of exactly so many lines."""
    glyphs = ui_state.glyphs
    about = f"log of {ui_state.selected}" if ui_state.log_scope == "selected" else "log"
    title: Line = [("class:title", glyphs.printable(about))]
    found = newest_first(model, ui_state)
    where = f"{ui_state.log_offset} back" if ui_state.log_offset else "following"
    after: Line = [("class:quiet", where)]
    if ui_state.search:
        after = [("class:search", f"/{glyphs.printable(ui_state.search)}"), ("", "  "), *after]
    lines: list[Line] = []
    for record in islice(found, ui_state.log_offset, None):
        told = render_record(record, now, cells - 1, glyphs, with_name=ui_state.log_scope == "all")
        told = [_highlight_search(line, ui_state.search) for line in told]
        lines = [*told, *lines]
        if len(lines) >= height - 1:
            break
    room = height - 1
    lines = lines[-room:] if room else []
    blank: list[Line] = [[] for _ in range(room - len(lines))]
    body = [fit_line([("", " "), *line], cells, glyphs.ellipsis) for line in [*lines, *blank]]
    return [pane_title(title, after, cells, glyphs), *body]


def newest_first(model: Model, ui_state: UiState) -> Iterator[LogRecord]:
    """What the pane may show, with the newest first."""
    records: Sequence[LogRecord] = model.records
    if ui_state.log_scope == "selected" and ui_state.selected is not None:
        own = model.tunnel_records(ui_state.selected)
        records = own if own is not None else model.records
    search = ui_state.search.lower()
    for record in reversed(records):
        if ui_state.log_scope == "selected" and record.tunnel != ui_state.selected:
            continue
        if search and search not in f"{record.tunnel}: {record.message}".lower():
            continue
        yield record


def render_record(
    record: LogRecord, now: Moment, cells: int, glyphs: Glyphs, *, with_name: bool
) -> list[Line]:
    """A line of the log, and where it is too long, more of them below its message."""
    time = parse_time(record.at).astimezone(now.wall.tzinfo).strftime("%H:%M:%S")
    name = f"{glyphs.printable(record.tunnel)}: " if with_name and record.tunnel else ""
    indent = len(time) + 2
    first, *rest = wrap(glyphs.printable(f"{name}{record.message}"), max(10, cells - indent))
    style = f"class:log.{record.level}"
    line: Line = [("class:quiet", time), ("", "  ")]
    if name and first.startswith(name):
        line += [("class:name", name), (style, first.removeprefix(name))]
    else:
        line += [(style, first)]
    return [line, *([("", " " * indent), (style, text)] for text in rest)]


def _highlight_search(line: Line, search: str) -> Line:
    """The line with what is searched for made to stand out."""
    if not search:
        return line
    found: Line = []
    for style, text in line:
        at = text.lower().find(search.lower())
        if at < 0:
            found.append((style, text))
            continue
        end = at + len(search)
        found += [(style, text[:at]), ("class:search", text[at:end]), (style, text[end:])]
    return found
