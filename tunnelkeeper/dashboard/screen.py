"""Renders the whole screen as lines, from the model and the state of the user interface. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.answering import Answering
from tunnelkeeper.dashboard.columns import Column, fit_columns, render_heading
from tunnelkeeper.dashboard.detail_pane import render_detail
from tunnelkeeper.dashboard.folding import FoldedGroup, Row, find_row, table_rows, tunnels_of
from tunnelkeeper.dashboard.glyphs import pane_title
from tunnelkeeper.dashboard.group_row import render_group_detail, render_group_row
from tunnelkeeper.dashboard.header import render_header
from tunnelkeeper.dashboard.heights import (
    TABLE_HEADING_LINES,
    DetailRoom,
    compute_heights,
    detail_room,
    header_lines_of,
)
from tunnelkeeper.dashboard.help_page import render_page
from tunnelkeeper.dashboard.log_pane import render_log_pane, render_notes
from tunnelkeeper.dashboard.model import Disconnected, Searching
from tunnelkeeper.dashboard.question_dialog import place_over, render_dialog
from tunnelkeeper.dashboard.status_bar import Hint, render_status_bar, select_hints
from tunnelkeeper.dashboard.table_rows import highlight, render_rows, row_texts
from tunnelkeeper.dashboard.text_width import Line, fit_line, wrap
from tunnelkeeper.dashboard.tunnel_page import render_tunnel_page
from tunnelkeeper.dashboard.ui_state import Moment, Reading, UiState
from tunnelkeeper.presentation.text_layout import cell_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.dashboard.model import Model

MIN_CELLS, MIN_HEIGHT = 40, 10
"""The smallest screen on which names, forwards and failures are readable."""


@dataclass(frozen=True, slots=True)
class Screen:
    """The lines of each part of the screen, and what a mouse click refers to."""

    header: list[Line] = field(default_factory=list)
    body: list[Line] = field(default_factory=list)
    detail: list[Line] = field(default_factory=list)
    log: list[Line] = field(default_factory=list)
    bar: list[Line] = field(default_factory=list)
    rows: tuple[str, ...] = ()
    """The name of a tunnel in each visible row, from top to bottom."""
    columns: tuple[tuple[Column, int], ...] = ()
    hints: tuple[Hint, ...] = ()


def render(model: Model, ui_state: UiState, now: Moment, cells: int, height: int) -> Screen:
    """Render the screen. Selection and scroll position in `ui_state` follow the shown tunnels."""
    if cells < MIN_CELLS or height < MIN_HEIGHT:
        return _render_too_small(cells, height)
    glyphs = ui_state.glyphs
    all_rows = table_rows(model, ui_state)
    selected = resolve_selection(ui_state, all_rows)
    hints = tuple(select_hints(model, ui_state, selected, cells))
    bar = [render_status_bar(model, ui_state, selected, cells)]
    header_lines = header_lines_of(height)
    header = render_header(model, ui_state, now, cells, header_lines)
    room = max(1, height - header_lines - 1)
    if isinstance(ui_state.mode, Reading) or model.supervisor is None:
        return Screen(header, _render_page(model, ui_state, cells, room), bar=bar, hints=hints)
    if ui_state.page is not None:
        details, log = render_tunnel_page(model, ui_state, now, cells, room)
        body, log = _finish_panes([details, log], model, ui_state, now, cells)
        return Screen(header, body, log=log, bar=bar, hints=hints)
    notice = [] if all_rows else _render_empty_table(ui_state, cells)
    row_lines, has_log = len(all_rows) or len(notice), ui_state.log_scope != "off"
    for_detail = detail_room(height, row_lines, has_log=has_log)
    detail = _render_detail_pane(selected, model, ui_state, now, cells, for_detail)
    heights = compute_heights(height, row_lines, len(detail), has_log=has_log)
    row_count = heights.body - TABLE_HEADING_LINES
    keep_selection_visible(ui_state, len(all_rows), row_count)
    rows = all_rows[ui_state.first_row : ui_state.first_row + max(0, row_count)]
    texts = [
        row_texts(row, model, ui_state, now) for row in rows if not isinstance(row, FoldedGroup)
    ]
    names = tuple(tunnels_of(row)[0].name for row in rows)
    recent = ui_state.recent_cells.remember(names, texts, now.monotonic)
    columns = fit_columns([*texts, recent], cells)
    body = [
        _render_table_title(all_rows, row_count, model, ui_state, cells),
        render_heading(columns, ui_state.sorting.key, cells),
    ]
    tunnel_lines = iter(render_rows(texts, columns, glyphs))
    for row in rows:
        if isinstance(row, FoldedGroup):
            line = render_group_row(row, ui_state)
        else:
            line = next(tunnel_lines)
        line = fit_line(line, cells, glyphs.ellipsis)
        body.append(highlight(line) if row is selected else line)
    body += notice
    log = _render_log_or_notes(model, ui_state, now, cells, heights.log)
    panes = [
        _fill(body, cells, heights.body),
        _fill(detail, cells, heights.detail),
        _fill(log, cells, heights.log),
    ]
    body, detail, log = _finish_panes(panes, model, ui_state, now, cells)
    return Screen(
        header,
        body,
        detail,
        log,
        bar,
        names,
        tuple(columns),
        hints,
    )


def _finish_panes(
    panes: list[list[Line]], model: Model, ui_state: UiState, now: Moment, cells: int
) -> list[list[Line]]:
    """Fade the panes if they are out of date or behind a question, which is put over them."""
    is_answering = isinstance(ui_state.mode, Answering)
    if is_answering or isinstance(model.feed_state, Disconnected):
        panes = [_fade(pane) for pane in panes]
    if isinstance(ui_state.mode, Answering):
        room = sum(map(len, panes))
        box = render_dialog(ui_state.mode, model, now, cells, room, ui_state.glyphs)
        return place_over(panes, box, cells)
    return panes


def resolve_selection(ui_state: UiState, rows: Sequence[Row]) -> Row | None:
    """Return the selected row. If it is gone, select the row that is now in its place.

    A folded group stays selected if only some of its tunnels are gone.
    """
    if not rows:
        return None
    index = find_row(rows, ui_state.selected)
    if index is None:
        groups = [row.name if isinstance(row, FoldedGroup) else None for row in rows]
        index = min(ui_state.selected_row, len(rows) - 1)
        if ui_state.selected_group is not None and ui_state.selected_group in groups:
            index = groups.index(ui_state.selected_group)
        ui_state.selected = tunnels_of(rows[index])[0].name
    row = rows[index]
    ui_state.selected_row = index
    ui_state.selected_group = row.name if isinstance(row, FoldedGroup) else None
    return row


def keep_selection_visible(ui_state: UiState, count: int, row_count: int) -> None:
    """Scroll the table of `count` rows so that the selected row is among the visible ones."""
    row = ui_state.selected_row
    top = max(min(ui_state.first_row, row), row - max(1, row_count) + 1)
    max_top = max(0, count - row_count)
    ui_state.first_row = max(0, min(top, max_top))


def _render_detail_pane(
    selected: Row | None,
    model: Model,
    ui_state: UiState,
    now: Moment,
    cells: int,
    room: DetailRoom,
) -> list[Line]:
    """Return the pane of the selected tunnel or folded group. Empty if it is closed."""
    if selected is None or not ui_state.is_detail_open:
        return []
    if isinstance(selected, FoldedGroup):
        return render_group_detail(selected, model, ui_state, cells)
    return render_detail(
        selected, model, now, cells, ui_state.glyphs, room.height, room.comfortable_height
    )


def _render_empty_table(ui_state: UiState, cells: int) -> list[Line]:
    """Return why the table has no rows, and what to do about it."""
    text, hint = "the config file has no tunnels", "e edits it"
    if ui_state.filter:
        text = f"no tunnel matches '{ui_state.glyphs.printable(ui_state.filter.text.strip())}'"
        hint = "Esc clears the filter"
    lines = [("class:notice", line) for line in wrap(text, cells - 3)]
    return [[("", "   "), line] for line in (*lines, ("class:hint", hint))]


def _render_table_title(
    rows: Sequence[Row], row_count: int, model: Model, ui_state: UiState, cells: int
) -> Line:
    """Return the title of the table. row_count: the rows for which there are lines."""
    count = ("class:quiet", f" {len(model.tunnels)}")
    if ui_state.filter:
        count = ("class:quiet", f" {len(rows)} of {len(model.tunnels)}")
    title: Line = [("class:title", "tunnels"), count]
    if len(rows) > max(0, row_count):
        position = ("class:notice", f" {_describe_position(rows, row_count, ui_state.first_row)}")
        title = (
            [title[0], position]
            if len(rows) == len(model.tunnels)
            else [*title, ("", " "), position]
        )
    return pane_title(title, _describe_view(ui_state), cells, ui_state.glyphs)


def _describe_view(ui_state: UiState) -> Line:
    """Return the filter, the sort order and the number of marks, as far as there are any."""
    glyphs, sorting = ui_state.glyphs, ui_state.sorting
    facts: Line = []
    if ui_state.filter:
        facts.append(("class:search", f"/{glyphs.printable(ui_state.filter.text)}"))
    if sorting.problems_first:
        facts.append(("class:quiet", "problems first"))
    if (sorting.key, sorting.is_reversed) != ("config", False):
        arrow = glyphs.descending if sorting.is_descending else glyphs.ascending
        facts.append(("class:quiet", f"by {sorting.key} {arrow}"))
    if ui_state.marked:
        facts.append(("class:marked", f"{len(ui_state.marked)} marked"))
    return [fragment for fact in facts for fragment in (("", "  "), fact)][1:]


def _describe_position(rows: Sequence[Row], row_count: int, first_row: int) -> str:
    """Return which rows are on the screen, for a table that has more: `5-12 of 200`."""
    first, last = first_row + 1, first_row + max(0, row_count)
    shown = f"{first}-{last}" if last > first else f"{first}"
    what = "rows " if any(isinstance(row, FoldedGroup) for row in rows) else ""
    return f"{what}{shown} of {len(rows)}"


def _render_log_or_notes(
    model: Model, ui_state: UiState, now: Moment, cells: int, lines: int
) -> list[Line]:
    if lines < 1:
        return []
    if ui_state.log_scope == "notes":
        return render_notes(ui_state.notes, cells, lines, ui_state.glyphs)
    return render_log_pane(model, ui_state, now, cells, lines)


def _render_page(model: Model, ui_state: UiState, cells: int, height: int) -> list[Line]:
    """Return a text page, whose position follows what is shown, or why there is no table."""
    mode = ui_state.mode
    if isinstance(mode, Reading):
        lines, first_line = render_page(mode, cells, height, ui_state.glyphs)
        ui_state.mode = replace(mode, first_line=first_line)
        return lines
    match model.feed_state:
        case Searching():
            texts = ["connecting to the supervisor"]
        case Disconnected(reason):
            text = ui_state.glyphs.printable(reason)
            texts = [*wrap(text, cells - 4), "", "u starts one, e edits the config file, q quits"]
        case _:
            texts = []
    above = max(0, (height - len(texts)) // 2)
    lines = [[] for _ in range(above)]
    lines += [
        [("", " " * ((cells - cell_width(text)) // 2)), ("class:notice", text)] for text in texts
    ]
    return _fill(lines[:height], cells, height)


def _render_too_small(cells: int, height: int) -> Screen:
    """Return a screen that names the size that is needed."""
    text = (
        f"The dashboard needs a terminal of {MIN_CELLS}x{MIN_HEIGHT}; this one is {cells}x{height}."
    )
    lines: list[Line] = [[("class:notice", line)] for line in wrap(text, cells)]
    bar = [fit_line([("class:key", "q"), ("class:quiet", " quit")], cells, "")]
    return Screen(body=_fill(lines, cells, max(0, height - 1)), bar=bar, hints=(Hint("q", "quit"),))


def _fade(lines: list[Line]) -> list[Line]:
    """Return the lines without colours, to show that they are no longer up to date."""
    return [[("class:faded", text) for _, text in line] for line in lines]


def _fill(lines: list[Line], cells: int, height: int) -> list[Line]:
    """Truncate or pad the lines to exactly this width and height."""
    blank: list[Line] = [[] for _ in range(height - len(lines))]
    return [fit_line(line, cells, "") for line in [*lines[:height], *blank]]
