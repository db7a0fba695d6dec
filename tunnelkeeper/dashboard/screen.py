"""The whole screen as lines, from what is known and what was chosen; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.columns import Column, heading
from tunnelkeeper.dashboard.detail_pane import detail
from tunnelkeeper.dashboard.filter_sort import Sorting, visible_tunnels
from tunnelkeeper.dashboard.glyphs import rule
from tunnelkeeper.dashboard.header import header
from tunnelkeeper.dashboard.help_page import page
from tunnelkeeper.dashboard.log_pane import log_pane
from tunnelkeeper.dashboard.model import Disconnected, Searching
from tunnelkeeper.dashboard.status_bar import Hint, bar, hints
from tunnelkeeper.dashboard.table_rows import Table, selected
from tunnelkeeper.dashboard.text_width import Line, fitted, width, wrapped
from tunnelkeeper.dashboard.ui_state import Moment, Reading, UiState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.dashboard.model import Model

HEADER_OF_TWO = 20
"""Lines of a screen from which on the header has a second line."""

ABOVE_ROWS = 2
"""Lines of the table that are no rows: its rule and its titles."""

LEAST_ROWS = 3


@dataclass(frozen=True, slots=True)
class Heights:
    """Lines of each part of the screen; together they are the screen's."""

    header: int
    body: int
    detail: int
    log: int
    bar: int = 1


@dataclass(frozen=True, slots=True)
class Screen:
    """What is on the screen, part by part, and what a click needs to know about it."""

    header: list[Line] = field(default_factory=list)
    body: list[Line] = field(default_factory=list)
    detail: list[Line] = field(default_factory=list)
    log: list[Line] = field(default_factory=list)
    bar: list[Line] = field(default_factory=list)
    rows: tuple[str, ...] = ()
    """The names of the tunnels whose rows are seen, from the highest."""
    columns: tuple[tuple[Column, int], ...] = ()
    hints: tuple[Hint, ...] = ()


def arrange(height: int, rows: int, detail_lines: int, *, has_log: bool) -> Heights:
    """Share a screen out: the table has what it needs while a quarter is left for the log."""
    header_lines = 2 if height >= HEADER_OF_TWO else 1
    room = max(0, height - header_lines - 1)
    least = min(ABOVE_ROWS + min(rows, LEAST_ROWS), room)
    log_least = min(max(3, room // 4), room - least) if has_log else 0
    detail_gets = min(detail_lines, max(0, room - least - log_least))
    if not has_log:
        return Heights(header_lines, room - detail_gets, detail_gets, 0)
    body = max(least, min(ABOVE_ROWS + rows, room - detail_gets - log_least))
    return Heights(header_lines, body, detail_gets, room - detail_gets - body)


def render(
    board: Model, view: UiState, table: Table, now: Moment, cells: int, height: int
) -> Screen:
    """Draw everything. The view's scrolling follows its selected tunnel."""
    tunnels = visible_tunnels(board, view.filter, view.sorting)
    chosen = follow(view, tunnels)
    found = hints(board, view, chosen, cells)
    bar_line = [bar(board, view, chosen, cells)]
    header_lines = 2 if height >= HEADER_OF_TWO else 1
    top = header(board, view, now, cells, header_lines)
    if isinstance(view.mode, Reading) or board.supervisor is None:
        room = max(1, height - header_lines - 1)
        return Screen(top, _page(board, view, cells, room), bar=bar_line, hints=tuple(found))
    pane = detail(chosen, board, now, cells, view.glyphs) if view.is_detail_open and chosen else []
    heights = arrange(height, len(tunnels), len(pane), has_log=view.log_scope != "off")
    _scroll(view, len(tunnels), heights.body - ABOVE_ROWS)
    columns = table.columns(tunnels, cells)
    seen = tunnels[view.top : view.top + max(0, heights.body - ABOVE_ROWS)]
    body = [_table_rule(tunnels, board, view, cells), heading(columns, view, cells)]
    for tunnel in seen:
        line = fitted(table.row(tunnel, columns, board, view, now), cells, view.glyphs.ellipsis)
        body.append(selected(line) if tunnel is chosen else line)
    log = _log(board, view, now, cells, heights.log)
    if isinstance(board.feed_state, Disconnected):
        body, pane, log = map(_faded, (body, pane, log))
    return Screen(
        top,
        _filled(body, cells, heights.body),
        _filled(pane, cells, heights.detail),
        _filled(log, cells, heights.log),
        bar_line,
        tuple(tunnel.name for tunnel in seen),
        tuple(columns),
        tuple(found),
    )


def follow(view: UiState, tunnels: Sequence[TunnelSnapshot]) -> TunnelSnapshot | None:
    """The selected tunnel; where it is gone, the one that took its place."""
    if not tunnels:
        return None
    for index, tunnel in enumerate(tunnels):
        if tunnel.name == view.selected:
            view.selected_row = index
            return tunnel
    view.selected_row = min(view.selected_row, len(tunnels) - 1)
    view.selected = tunnels[view.selected_row].name
    return tunnels[view.selected_row]


def _scroll(view: UiState, count: int, room: int) -> None:
    lowest_top = max(0, count - room)
    view.top = max(min(view.top, view.selected_row), view.selected_row - max(1, room) + 1)
    view.top = max(0, min(view.top, lowest_top))


def _table_rule(tunnels: Sequence[TunnelSnapshot], board: Model, view: UiState, cells: int) -> Line:
    total = len(board.tunnels)
    title: Line = [("class:title", "tunnels"), ("class:quiet", f" {total}")]
    after: Line = []
    if view.filter:
        title = [title[0], ("class:quiet", f" {len(tunnels)} of {total}")]
        after = [("class:search", f"/{view.glyphs.text(view.filter.text)}")]
    if view.sorting != Sorting():
        arrow = view.glyphs.descending if view.sorting.is_descending else view.glyphs.ascending
        after = [*after, ("class:quiet", f"  by {view.sorting.key} {arrow}")]
    if view.marked:
        after = [*after, ("class:marked", f"  {len(view.marked)} marked")]
    return rule(title, after, cells, view.glyphs)


def _log(board: Model, view: UiState, now: Moment, cells: int, lines: int) -> list[Line]:
    if lines < 1:
        return []
    if view.log_scope != "notes":
        return log_pane(board, view, now, cells, lines)
    title: Line = [("class:title", "try")]
    body: list[Line] = [[("", f" {view.glyphs.text(note)}")] for note in view.notes]
    return [rule(title, [("class:quiet", "l: the log")], cells, view.glyphs), *body]


def _page(board: Model, view: UiState, cells: int, height: int) -> list[Line]:
    if isinstance(view.mode, Reading):
        return page(view.mode, cells, height, view.glyphs)
    match board.feed_state:
        case Searching():
            texts = ["looking for the supervisor"]
        case Disconnected(why):
            texts = [*wrapped(view.glyphs.text(why), cells - 4), "", "u starts one, q leaves"]
        case _:
            texts = []
    above = max(0, (height - len(texts)) // 2)
    lines: list[Line] = [[] for _ in range(above)]
    lines += [[("", " " * ((cells - width(text)) // 2)), ("class:notice", text)] for text in texts]
    return _filled(lines[:height], cells, height)


def _faded(lines: list[Line]) -> list[Line]:
    """The same without colours: the picture of what was."""
    return [[("class:faded", text) for _, text in line] for line in lines]


def _filled(lines: list[Line], cells: int, height: int) -> list[Line]:
    blank: list[Line] = [[] for _ in range(height - len(lines))]
    return [fitted(line, cells, "") for line in [*lines[:height], *blank]]
