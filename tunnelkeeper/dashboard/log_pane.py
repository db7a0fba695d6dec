"""The pane that follows the log: as many of the newest lines as fit; pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.glyphs import rule
from tunnelkeeper.dashboard.text_width import Line, fitted, wrapped
from tunnelkeeper.presentation.formatting import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tunnelkeeper.core.snapshot import LogRecord
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import Moment, UiState


def log_pane(board: Model, view: UiState, now: Moment, cells: int, height: int) -> list[Line]:
    """The pane, its rule first, of exactly so many lines."""
    signs = view.glyphs
    about = f"log of {view.selected}" if view.log_scope == "chosen" else "log"
    title: Line = [("class:title", signs.text(about))]
    found = newest_first(board, view)
    where = f"{view.log_offset} back" if view.log_offset else "following"
    after: Line = [("class:quiet", where)]
    if view.search:
        after = [("class:search", f"/{signs.text(view.search)}"), ("", "  "), *after]
    lines: list[Line] = []
    for record in islice(found, view.log_offset, None):
        told = record_lines(record, now, cells - 1, signs, with_name=view.log_scope == "all")
        told = [_with_search(line, view.search) for line in told]
        lines = [*told, *lines]
        if len(lines) >= height - 1:
            break
    room = height - 1
    lines = lines[-room:] if room else []
    blank: list[Line] = [[] for _ in range(room - len(lines))]
    body = [fitted([("", " "), *line], cells, signs.ellipsis) for line in [*lines, *blank]]
    return [rule(title, after, cells, signs), *body]


def newest_first(board: Model, view: UiState) -> Iterator[LogRecord]:
    """What the pane may show, with the newest first."""
    records: Sequence[LogRecord] = board.records
    if view.log_scope == "chosen" and view.selected is not None:
        own = board.tunnel_records(view.selected)
        records = own if own is not None else board.records
    search = view.search.lower()
    for record in reversed(records):
        if view.log_scope == "chosen" and record.tunnel != view.selected:
            continue
        if search and search not in f"{record.tunnel}: {record.message}".lower():
            continue
        yield record


def record_lines(
    record: LogRecord, now: Moment, cells: int, signs: Glyphs, *, with_name: bool
) -> list[Line]:
    """A line of the log, and where it is too long, more of them below its message."""
    time = parse_time(record.at).astimezone(now.wall.tzinfo).strftime("%H:%M:%S")
    name = f"{signs.text(record.tunnel)}: " if with_name and record.tunnel else ""
    indent = len(time) + 2
    first, *rest = wrapped(signs.text(f"{name}{record.message}"), max(10, cells - indent))
    style = f"class:log.{record.level}"
    line: Line = [("class:quiet", time), ("", "  ")]
    if name and first.startswith(name):
        line += [("class:name", name), (style, first.removeprefix(name))]
    else:
        line += [(style, first)]
    return [line, *([("", " " * indent), (style, text)] for text in rest)]


def _with_search(line: Line, search: str) -> Line:
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
