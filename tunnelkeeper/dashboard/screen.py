"""Renders the whole screen as lines, from the model and the state of the user interface. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.answering import Answering
from tunnelkeeper.dashboard.columns import Column, render_heading
from tunnelkeeper.dashboard.detail_pane import render_detail
from tunnelkeeper.dashboard.filter_sort import Sorting, visible_tunnels
from tunnelkeeper.dashboard.glyphs import pane_title
from tunnelkeeper.dashboard.header import render_header
from tunnelkeeper.dashboard.help_page import render_page
from tunnelkeeper.dashboard.log_pane import render_log_pane
from tunnelkeeper.dashboard.model import Disconnected, Searching
from tunnelkeeper.dashboard.question_dialog import place_over, render_dialog
from tunnelkeeper.dashboard.status_bar import Hint, render_status_bar, select_hints
from tunnelkeeper.dashboard.table_rows import Table, highlight
from tunnelkeeper.dashboard.text_width import Line, cell_width, fit_line, wrap
from tunnelkeeper.dashboard.ui_state import Moment, Reading, UiState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.dashboard.model import Model

TWO_LINE_HEADER_HEIGHT = 20
"""Lines of the smallest screen whose header has two lines."""

TABLE_HEADING_LINES = 2
"""Lines above the first row of the table: its title and the titles of the columns."""

MIN_ROWS = 3


@dataclass(frozen=True, slots=True)
class Heights:
    """Lines of each part of the screen. Their sum is the height of the screen."""

    header: int
    body: int
    detail: int
    log: int
    bar: int = 1


@dataclass(frozen=True, slots=True)
class Screen:
    """The lines of each part of the screen, and what a mouse click refers to."""

    header: list[Line] = field(default_factory=list)
    body: list[Line] = field(default_factory=list)
    detail: list[Line] = field(default_factory=list)
    log: list[Line] = field(default_factory=list)
    bar: list[Line] = field(default_factory=list)
    rows: tuple[str, ...] = ()
    """Names of the tunnels with a visible row, from top to bottom."""
    columns: tuple[tuple[Column, int], ...] = ()
    hints: tuple[Hint, ...] = ()


def compute_heights(height: int, rows: int, detail_lines: int, *, has_log: bool) -> Heights:
    """Divide the screen among its parts.

    The table gets the lines that it needs, as long as a quarter of the screen is left for the log.
    """
    header_lines = 2 if height >= TWO_LINE_HEADER_HEIGHT else 1
    room = max(0, height - header_lines - 1)
    min_body = min(TABLE_HEADING_LINES + min(rows, MIN_ROWS), room)
    min_log = min(max(3, room // 4), room - min_body) if has_log else 0
    detail = min(detail_lines, max(0, room - min_body - min_log))
    if not has_log:
        return Heights(header_lines, room - detail, detail, 0)
    body = max(min_body, min(TABLE_HEADING_LINES + rows, room - detail - min_log))
    return Heights(header_lines, body, detail, room - detail - body)


def render(
    model: Model, ui_state: UiState, table: Table, now: Moment, cells: int, height: int
) -> Screen:
    """Render the screen. Selection and scroll position in `ui_state` follow the shown tunnels."""
    glyphs = ui_state.glyphs
    tunnels = visible_tunnels(model, ui_state.filter, ui_state.sorting)
    selected = resolve_selection(ui_state, tunnels)
    hints = tuple(select_hints(model, ui_state, selected, cells))
    bar = [render_status_bar(model, ui_state, selected, cells)]
    header_lines = 2 if height >= TWO_LINE_HEADER_HEIGHT else 1
    header = render_header(model, ui_state, now, cells, header_lines)
    if isinstance(ui_state.mode, Reading) or model.supervisor is None:
        room = max(1, height - header_lines - 1)
        return Screen(header, _render_page(model, ui_state, cells, room), bar=bar, hints=hints)
    detail: list[Line] = []
    if ui_state.is_detail_open and selected:
        detail = render_detail(selected, model, now, cells, glyphs)
    heights = compute_heights(
        height, len(tunnels), len(detail), has_log=ui_state.log_scope != "off"
    )
    row_count = heights.body - TABLE_HEADING_LINES
    keep_selection_visible(ui_state, len(tunnels), row_count)
    columns = table.fit_columns(tunnels, model, cells)
    rows = tunnels[ui_state.first_row : ui_state.first_row + max(0, row_count)]
    body = [
        _render_table_title(tunnels, model, ui_state, cells),
        render_heading(columns, ui_state, cells),
    ]
    for tunnel in rows:
        row = table.render_row(tunnel, columns, model, ui_state, now)
        line = fit_line(row, cells, glyphs.ellipsis)
        body.append(highlight(line) if tunnel is selected else line)
    log = _render_log_or_notes(model, ui_state, now, cells, heights.log)
    is_answering = isinstance(ui_state.mode, Answering)
    if is_answering or isinstance(model.feed_state, Disconnected):
        body, detail, log = map(_fade, (body, detail, log))
    body = _fill(body, cells, heights.body)
    detail = _fill(detail, cells, heights.detail)
    log = _fill(log, cells, heights.log)
    if isinstance(ui_state.mode, Answering):
        room = len(body) + len(detail) + len(log)
        box = render_dialog(ui_state.mode, model, now, cells, room, glyphs)
        body, detail, log = place_over((body, detail, log), box, cells)
    return Screen(
        header,
        body,
        detail,
        log,
        bar,
        tuple(tunnel.name for tunnel in rows),
        tuple(columns),
        hints,
    )


def resolve_selection(
    ui_state: UiState, tunnels: Sequence[TunnelSnapshot]
) -> TunnelSnapshot | None:
    """Return the selected tunnel. If it is gone, select the tunnel that is now in its row."""
    if not tunnels:
        return None
    for index, tunnel in enumerate(tunnels):
        if tunnel.name == ui_state.selected:
            ui_state.selected_row = index
            return tunnel
    ui_state.selected_row = min(ui_state.selected_row, len(tunnels) - 1)
    ui_state.selected = tunnels[ui_state.selected_row].name
    return tunnels[ui_state.selected_row]


def keep_selection_visible(ui_state: UiState, count: int, row_count: int) -> None:
    """Scroll the table of `count` tunnels so that the selected row is among the visible ones."""
    row = ui_state.selected_row
    top = max(min(ui_state.first_row, row), row - max(1, row_count) + 1)
    max_top = max(0, count - row_count)
    ui_state.first_row = max(0, min(top, max_top))


def _render_table_title(
    tunnels: Sequence[TunnelSnapshot], model: Model, ui_state: UiState, cells: int
) -> Line:
    glyphs, sorting = ui_state.glyphs, ui_state.sorting
    total = len(model.tunnels)
    title: Line = [("class:title", "tunnels"), ("class:quiet", f" {total}")]
    right: Line = []
    if ui_state.filter:
        title = [title[0], ("class:quiet", f" {len(tunnels)} of {total}")]
        right = [("class:search", f"/{glyphs.printable(ui_state.filter.text)}")]
    if sorting != Sorting():
        arrow = glyphs.descending if sorting.is_descending else glyphs.ascending
        right = [*right, ("class:quiet", f"  by {sorting.key} {arrow}")]
    if ui_state.marked:
        right = [*right, ("class:marked", f"  {len(ui_state.marked)} marked")]
    return pane_title(title, right, cells, glyphs)


def _render_log_or_notes(
    model: Model, ui_state: UiState, now: Moment, cells: int, lines: int
) -> list[Line]:
    if lines < 1:
        return []
    if ui_state.log_scope != "notes":
        return render_log_pane(model, ui_state, now, cells, lines)
    title: Line = [("class:title", "try")]
    body: list[Line] = [[("", f" {ui_state.glyphs.printable(note)}")] for note in ui_state.notes]
    return [pane_title(title, [("class:quiet", "l: log")], cells, ui_state.glyphs), *body]


def _render_page(model: Model, ui_state: UiState, cells: int, height: int) -> list[Line]:
    if isinstance(ui_state.mode, Reading):
        return render_page(ui_state.mode, cells, height, ui_state.glyphs)
    match model.feed_state:
        case Searching():
            texts = ["connecting to the supervisor"]
        case Disconnected(reason):
            text = ui_state.glyphs.printable(reason)
            texts = [*wrap(text, cells - 4), "", "u starts one, q quits"]
        case _:
            texts = []
    above = max(0, (height - len(texts)) // 2)
    lines: list[Line] = [[] for _ in range(above)]
    lines += [
        [("", " " * ((cells - cell_width(text)) // 2)), ("class:notice", text)] for text in texts
    ]
    return _fill(lines[:height], cells, height)


def _fade(lines: list[Line]) -> list[Line]:
    """Return the lines without colours, to show that they are no longer up to date."""
    return [[("class:faded", text) for _, text in line] for line in lines]


def _fill(lines: list[Line], cells: int, height: int) -> list[Line]:
    """Truncate or pad the lines to exactly this width and height."""
    blank: list[Line] = [[] for _ in range(height - len(lines))]
    return [fit_line(line, cells, "") for line in [*lines[:height], *blank]]
