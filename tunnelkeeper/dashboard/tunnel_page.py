"""Renders the page of one tunnel: everything that is known about it, and its log. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.detail_pane import render_detail
from tunnelkeeper.dashboard.detail_sections import LABEL_WIDTH, label_lines
from tunnelkeeper.dashboard.glyphs import pane_title, state_line
from tunnelkeeper.dashboard.help_page import format_position
from tunnelkeeper.dashboard.log_pane import render_log_pane
from tunnelkeeper.dashboard.text_width import Line, fit_line, wrap
from tunnelkeeper.presentation.formatting import format_milliseconds, time_since
from tunnelkeeper.presentation.tunnel_text import format_forward

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import CheckSnapshot, TunnelSnapshot
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import Moment, TunnelPage, UiState

MIN_LOG = 4
"""Lines of the log, with its title, that the part above leaves on the screen."""

ROOM_FOR_TRAFFIC = 40
"""Lines up to which the part above the log has a chart of the traffic."""


def render_tunnel_page(
    model: Model, ui_state: UiState, now: Moment, cells: int, height: int
) -> tuple[list[Line], list[Line]]:
    """Return the page's two parts, which have `height` lines together: details, and the log.

    The first line of the details is their title. The others scroll if they need more than their
    part, whose position in `ui_state` follows what is shown.
    """
    page = ui_state.page
    if page is None:
        return [], []
    title, *lines = _render_details(page, model, now, cells, ui_state.glyphs)
    log_height = max(min(MIN_LOG, height), height // 3, height - 1 - len(lines))
    room = max(0, height - log_height - 1)
    top = max(0, min(page.first_line, len(lines) - room))
    ui_state.page = replace(page, first_line=top)
    if room < len(lines):
        position = format_position(top, room, len(lines))
        title = _render_short_title(page, model, position, cells, ui_state.glyphs)
    details = [title, *lines[top : top + room]][: height - log_height]
    log = render_log_pane(model, with_page_log(ui_state), now, cells, log_height)
    return details, log


def with_page_log(ui_state: UiState) -> UiState:
    """Return the state of the user interface for the log on the screen: on a page, its tunnel's."""
    if ui_state.page is None:
        return ui_state
    name = ui_state.page.name
    return replace(ui_state, log_scope="selected", selected=name, selected_group=None)


def _render_details(
    page: TunnelPage, model: Model, now: Moment, cells: int, glyphs: Glyphs
) -> list[Line]:
    tunnel = model.tunnels.get(page.name)
    if tunnel is None:
        title = pane_title([("class:title", glyphs.printable(page.name))], [], cells, glyphs)
        return [title, [("class:notice", " the supervisor no longer has this tunnel")]]
    lines = render_detail(
        tunnel,
        model,
        now,
        cells,
        glyphs,
        comfortable_height=ROOM_FOR_TRAFFIC,
        has_events=False,
    )
    width = cells - LABEL_WIDTH - 1
    lines += label_lines("Checks", _render_checks(tunnel, now, width, glyphs))
    command = glyphs.printable(f"tunnelkeeper show {tunnel.name}")
    settings: Line = [("class:hint", command), ("class:quiet", "  prints every setting")]
    lines += label_lines("Settings", [settings])
    return [fit_line(line, cells, glyphs.ellipsis) for line in lines]


def _render_short_title(
    page: TunnelPage, model: Model, position: Line, cells: int, glyphs: Glyphs
) -> Line:
    """Return the title with the position on the page instead of times and cipher."""
    title: Line = [("class:title", glyphs.printable(page.name))]
    tunnel = model.tunnels.get(page.name)
    if tunnel is not None:
        title += [("", "  "), *state_line(tunnel.state, tunnel.state, glyphs)]
    return pane_title(title, position, cells, glyphs)


def _render_checks(tunnel: TunnelSnapshot, now: Moment, cells: int, glyphs: Glyphs) -> list[Line]:
    """Return the last end-to-end check of each forward that has one."""
    texts = [
        f"{format_forward(forward)}: {_describe_check(forward.check, now)}"
        for forward in tunnel.forwards
        if forward.check is not None
    ]
    return [[("", line)] for text in texts for line in wrap(glyphs.printable(text), cells)]


def _describe_check(check: CheckSnapshot, now: Moment) -> str:
    when = "" if check.at is None else f", {time_since(check.at, now.wall)} ago"
    if check.ok is None:
        return f"{check.kind} unknown{when}{f': {check.message}' if check.message else ''}"
    if check.ok:
        duration = "" if check.ms is None else f" in {format_milliseconds(check.ms)}"
        return f"{check.kind} succeeded{duration}{when}"
    return f"{check.kind} failed{when}: {check.message}"
