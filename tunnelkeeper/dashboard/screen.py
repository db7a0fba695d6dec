"""The whole screen as lines, from what is known and what was chosen; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.columns import Column, render_heading
from tunnelkeeper.dashboard.detail_pane import render_detail
from tunnelkeeper.dashboard.filter_sort import Sorting, visible_tunnels
from tunnelkeeper.dashboard.glyphs import pane_title
from tunnelkeeper.dashboard.header import render_header
from tunnelkeeper.dashboard.help_page import render_page
from tunnelkeeper.dashboard.log_pane import render_log_pane
from tunnelkeeper.dashboard.model import Disconnected, Searching
from tunnelkeeper.dashboard.status_bar import Hint, render_status_bar, select_hints
from tunnelkeeper.dashboard.table_rows import Table, highlight
from tunnelkeeper.dashboard.text_width import Line, cell_width, fit_line, wrap
from tunnelkeeper.dashboard.ui_state import Moment, Reading, UiState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.dashboard.model import Model

MIN_HEIGHT_FOR_TWO_LINE_HEADER = 20
"""Lines of a screen from which on the header has a second line."""

TABLE_HEADING_LINES = 2
"""Lines of the table that are no rows: its rule and its titles."""

MIN_ROWS = 3


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


def compute_heights(height: int, rows: int, detail_lines: int, *, has_log: bool) -> Heights:
    """Share a screen out: the table has what it needs while a quarter is left for the log."""
    header_lines = 2 if height >= MIN_HEIGHT_FOR_TWO_LINE_HEADER else 1
    room = max(0, height - header_lines - 1)
    least = min(TABLE_HEADING_LINES + min(rows, MIN_ROWS), room)
    log_least = min(max(3, room // 4), room - least) if has_log else 0
    detail_gets = min(detail_lines, max(0, room - least - log_least))
    if not has_log:
        return Heights(header_lines, room - detail_gets, detail_gets, 0)
    body = max(least, min(TABLE_HEADING_LINES + rows, room - detail_gets - log_least))
    return Heights(header_lines, body, detail_gets, room - detail_gets - body)


def render(
    model: Model, ui_state: UiState, table: Table, now: Moment, cells: int, height: int
) -> Screen:
    """Draw everything. The ui_state's scrolling follows its selected tunnel."""
    tunnels = visible_tunnels(model, ui_state.filter, ui_state.sorting)
    chosen = resolve_selection(ui_state, tunnels)
    found = select_hints(model, ui_state, chosen, cells)
    bar_line = [render_status_bar(model, ui_state, chosen, cells)]
    header_lines = 2 if height >= MIN_HEIGHT_FOR_TWO_LINE_HEADER else 1
    top = render_header(model, ui_state, now, cells, header_lines)
    if isinstance(ui_state.mode, Reading) or model.supervisor is None:
        room = max(1, height - header_lines - 1)
        return Screen(
            top, _render_page(model, ui_state, cells, room), bar=bar_line, hints=tuple(found)
        )
    pane = (
        render_detail(chosen, model, now, cells, ui_state.glyphs)
        if ui_state.is_detail_open and chosen
        else []
    )
    heights = compute_heights(height, len(tunnels), len(pane), has_log=ui_state.log_scope != "off")
    keep_selection_visible(ui_state, len(tunnels), heights.body - TABLE_HEADING_LINES)
    columns = table.fit_columns(tunnels, cells)
    seen = tunnels[ui_state.top : ui_state.top + max(0, heights.body - TABLE_HEADING_LINES)]
    body = [
        _render_table_title(tunnels, model, ui_state, cells),
        render_heading(columns, ui_state, cells),
    ]
    for tunnel in seen:
        line = fit_line(
            table.render_row(tunnel, columns, model, ui_state, now), cells, ui_state.glyphs.ellipsis
        )
        body.append(highlight(line) if tunnel is chosen else line)
    log = _render_log_pane(model, ui_state, now, cells, heights.log)
    if isinstance(model.feed_state, Disconnected):
        body, pane, log = map(_fade, (body, pane, log))
    return Screen(
        top,
        _fill(body, cells, heights.body),
        _fill(pane, cells, heights.detail),
        _fill(log, cells, heights.log),
        bar_line,
        tuple(tunnel.name for tunnel in seen),
        tuple(columns),
        tuple(found),
    )


def resolve_selection(
    ui_state: UiState, tunnels: Sequence[TunnelSnapshot]
) -> TunnelSnapshot | None:
    """The selected tunnel; where it is gone, the one that took its place."""
    if not tunnels:
        return None
    for index, tunnel in enumerate(tunnels):
        if tunnel.name == ui_state.selected:
            ui_state.selected_row = index
            return tunnel
    ui_state.selected_row = min(ui_state.selected_row, len(tunnels) - 1)
    ui_state.selected = tunnels[ui_state.selected_row].name
    return tunnels[ui_state.selected_row]


def keep_selection_visible(ui_state: UiState, count: int, room: int) -> None:
    """Scroll the table so that the selected row is among the visible ones."""
    lowest_top = max(0, count - room)
    ui_state.top = max(
        min(ui_state.top, ui_state.selected_row), ui_state.selected_row - max(1, room) + 1
    )
    ui_state.top = max(0, min(ui_state.top, lowest_top))


def _render_table_title(
    tunnels: Sequence[TunnelSnapshot], model: Model, ui_state: UiState, cells: int
) -> Line:
    total = len(model.tunnels)
    title: Line = [("class:title", "tunnels"), ("class:quiet", f" {total}")]
    after: Line = []
    if ui_state.filter:
        title = [title[0], ("class:quiet", f" {len(tunnels)} of {total}")]
        after = [("class:search", f"/{ui_state.glyphs.printable(ui_state.filter.text)}")]
    if ui_state.sorting != Sorting():
        arrow = (
            ui_state.glyphs.descending
            if ui_state.sorting.is_descending
            else ui_state.glyphs.ascending
        )
        after = [*after, ("class:quiet", f"  by {ui_state.sorting.key} {arrow}")]
    if ui_state.marked:
        after = [*after, ("class:marked", f"  {len(ui_state.marked)} marked")]
    return pane_title(title, after, cells, ui_state.glyphs)


def _render_log_pane(
    model: Model, ui_state: UiState, now: Moment, cells: int, lines: int
) -> list[Line]:
    if lines < 1:
        return []
    if ui_state.log_scope != "notes":
        return render_log_pane(model, ui_state, now, cells, lines)
    title: Line = [("class:title", "try")]
    body: list[Line] = [[("", f" {ui_state.glyphs.printable(note)}")] for note in ui_state.notes]
    return [pane_title(title, [("class:quiet", "l: the log")], cells, ui_state.glyphs), *body]


def _render_page(model: Model, ui_state: UiState, cells: int, height: int) -> list[Line]:
    if isinstance(ui_state.mode, Reading):
        return render_page(ui_state.mode, cells, height, ui_state.glyphs)
    match model.feed_state:
        case Searching():
            texts = ["looking for the supervisor"]
        case Disconnected(why):
            texts = [*wrap(ui_state.glyphs.printable(why), cells - 4), "", "u starts one, q leaves"]
        case _:
            texts = []
    above = max(0, (height - len(texts)) // 2)
    lines: list[Line] = [[] for _ in range(above)]
    lines += [
        [("", " " * ((cells - cell_width(text)) // 2)), ("class:notice", text)] for text in texts
    ]
    return _fill(lines[:height], cells, height)


def _fade(lines: list[Line]) -> list[Line]:
    """The same without colours: the picture of what was."""
    return [[("class:faded", text) for _, text in line] for line in lines]


def _fill(lines: list[Line], cells: int, height: int) -> list[Line]:
    blank: list[Line] = [[] for _ in range(height - len(lines))]
    return [fit_line(line, cells, "") for line in [*lines[:height], *blank]]
