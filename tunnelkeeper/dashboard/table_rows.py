"""Renders the rows of the table. Pure.

A row is made in two steps: `row_texts` formats each text in several lengths, and `render_rows`
chooses the lengths that fit, once the widths of the columns are known.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.columns import (
    EMPTY,
    MAX_TRAFFIC_WIDTH,
    SHORTEST,
    WITHOUT_DETAILS,
    Cell,
    Column,
    RowTexts,
)
from tunnelkeeper.dashboard.glyphs import draw_sparkline
from tunnelkeeper.dashboard.text_width import Line, align_left, align_right, shorten
from tunnelkeeper.presentation.formatting import (
    format_milliseconds,
    format_short_size,
    format_time_left,
    time_since,
)
from tunnelkeeper.presentation.text_layout import cell_width
from tunnelkeeper.presentation.tunnel_text import (
    first_failure,
    format_forward,
    format_host_chain,
    format_progress,
    format_replacement,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.snapshot import ForwardSnapshot, QuestionSnapshot, TunnelSnapshot
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.throughput import Rate
    from tunnelkeeper.dashboard.ui_state import Moment, UiState

CONNECTED = frozenset({"up", "degraded"})
WAITS = {
    "passphrase": "passphrase",
    "password": "password",
    "codes": "code",
    "host_key": "host key",
    "touch": "touch",
}
"""What a tunnel waits for, by the kind of the question."""

AD_HOC_MARK = " *"
"""Follows the name of a tunnel that is in no config file."""

MAX_COUNTED = 20
"""Listeners that a row shows at most, if it cannot show all."""

_USER = re.compile(r"[^ @]+@")
_ZERO = Cell("class:quiet", ("0",))


def row_texts(tunnel: TunnelSnapshot, model: Model, ui_state: UiState, now: Moment) -> RowTexts:
    """Return a tunnel's row, with its texts in all lengths.

    Counters that are still zero are left out, so that a column without news takes no space.
    """
    glyphs = ui_state.glyphs
    mark = glyphs.marked if tunnel.name in ui_state.marked else " "
    state_style = f"class:state.{tunnel.state}"
    rate = model.throughput(tunnel.name)
    is_connected = tunnel.state in CONNECTED
    rtt = "" if tunnel.rtt_ms is None else format_milliseconds(tunnel.rtt_ms).replace(" ", "")
    is_used = has_traffic(tunnel)
    name = glyphs.printable(tunnel.name) + (AD_HOC_MARK if tunnel.ad_hoc else "")
    failure = failure_forms(tunnel, model.awaited_by(tunnel.name))
    cells = {
        "name": Cell("class:name", (name,)),
        "state": Cell(f"class:word.{tunnel.state}", (tunnel.state,)),
        "host": Cell("class:host", host_forms(tunnel, glyphs)),
        "forwards": Cell("class:forwards", forward_forms(tunnel.forwards, glyphs)),
        "since": since_cell(tunnel, now),
        "rtt": Cell("class:number", (rtt,)) if is_connected else EMPTY,
        "in": rate_cell(rate.inbound) if is_connected and is_used else EMPTY,
        "out": rate_cell(rate.outbound) if is_connected and is_used else EMPTY,
        "traffic": traffic_cell(model.throughput_history(tunnel.name, MAX_TRAFFIC_WIDTH), glyphs)
        if is_used
        else EMPTY,
        "open": count_cell(tunnel.connections) if tunnel.connections_total else EMPTY,
        "restarts": count_cell(tunnel.restarts) if tunnel.restarts else EMPTY,
        "failure": Cell(f"class:failure.{tunnel.state}", tuple(map(glyphs.printable, failure))),
    }
    return RowTexts([("class:marked", mark), (state_style, glyphs.states[tunnel.state])], cells)


def has_traffic(tunnel: TunnelSnapshot) -> bool:
    """Return whether a tunnel has carried any data."""
    return bool(tunnel.bytes_in or tunnel.bytes_out)


def render_rows(
    rows: Sequence[RowTexts], columns: Sequence[tuple[Column, int]], glyphs: Glyphs
) -> list[Line]:
    """Return the lines of the rows with these columns."""
    lines: list[Line] = [[*row.margin, ("", " ")] for row in rows]
    for index, (column, width) in enumerate(columns):
        cells = [row.cells.get(column.key, EMPTY) for row in rows]
        align = align_right if column.is_number else align_left
        gap = " " * column.gap if index else ""
        for line, cell, text in zip(
            lines, cells, _fit_texts(column, cells, width, glyphs), strict=True
        ):
            line += [("", gap), (cell.style, align(text, width, glyphs.ellipsis))]
    return lines


def _fit_texts(column: Column, cells: Sequence[Cell], width: int, glyphs: Glyphs) -> list[str]:
    """Return the text of each cell: its last form that fits, or else its first form, cut."""
    if column.key == "traffic":  # the newest seconds are at the end
        return [cell.forms[-1][-width:] if cell.forms else "" for cell in cells]
    if column.key == "host" and not _has_room_for_users(cells, width):
        cells = [Cell(cell.style, cell.forms[:2]) for cell in cells]
    return shorten([_fit_form(cell.forms, width) for cell in cells], width, glyphs.ellipsis)


def _fit_form(forms: Sequence[str], width: int) -> str:
    fitting = [form for form in forms if cell_width(form) <= width]
    return fitting[-1] if fitting else "".join(forms[:1])


def _has_room_for_users(cells: Sequence[Cell], width: int) -> bool:
    """Return whether all hosts that fit also fit with their users, so that all rows look alike."""
    return all(
        cell.width(WITHOUT_DETAILS) <= width for cell in cells if cell.width(SHORTEST) <= width
    )


def highlight(line: Line) -> Line:
    """Return the selected row: one bar without other colours, so that it is easy to read."""
    return [("class:selected", "".join(text for _, text in line))]


def host_forms(tunnel: TunnelSnapshot, glyphs: Glyphs) -> tuple[str, ...]:
    """Return the host alone, with its jump hosts counted, with its user too; and the full chain."""
    chain = glyphs.printable(format_host_chain(tunnel))
    more = f" +{len(tunnel.jump)}" if tunnel.jump else ""
    login = chain.partition(" via ")[0]
    host = _USER.sub("", login)
    return (host, f"{host}{more}", f"{login}{more}", chain)


def forward_forms(forwards: Sequence[ForwardSnapshot], glyphs: Glyphs) -> tuple[str, ...]:
    """Return the forwards in short: the first listener, all listeners, or the targets too.

    Between the first two are forms with some of the listeners; the others are counted: `+2`.
    """
    if not forwards:
        return ()
    texts = [listener_text(forward, glyphs) for forward in forwards]
    counted = [
        f"{_join_listeners(texts[:count])} +{len(texts) - count}"
        for count in range(1, min(len(texts), MAX_COUNTED))
    ]
    full = ", ".join(forward_text(forward, glyphs) for forward in forwards)
    return (*counted, _join_listeners(texts), full)


def listener_text(forward: ForwardSnapshot, glyphs: Glyphs) -> str:
    """Return the end of a forward that clients connect to, such as `L 5432`."""
    return glyphs.printable(format_forward(forward)).partition(" -> ")[0]


def _join_listeners(texts: Sequence[str]) -> str:
    """Join listeners. Those of the same kind have one letter: `L 80, 81, S 1080`."""
    kinds = [text[:2] for text in texts]
    return ", ".join(
        text[2:] if index and kinds[index - 1] == kinds[index] else text
        for index, text in enumerate(texts)
    )


def forward_text(forward: ForwardSnapshot, glyphs: Glyphs) -> str:
    """Return a forward in short, such as `L 5432 → db:5432`."""
    return glyphs.printable(format_forward(forward)).replace(" -> ", f" {glyphs.arrow} ")


def failure_forms(
    tunnel: TunnelSnapshot, question: QuestionSnapshot | None = None
) -> tuple[str, ...]:
    """Return what a tunnel waits for, its step, its last cause and count, or a replacement.

    question: the one that the tunnel waits for.
    """
    if question is not None and tunnel.state not in {"stopped", "connecting"}:
        return (WAITS[question.kind], f"waits: {WAITS[question.kind]}")
    if tunnel.state == "connecting" and tunnel.progress is not None:
        step = format_progress(tunnel.progress).replace("_", " ")
        return (step, f"{step}, try {tunnel.attempt}" if tunnel.attempt > 1 else step)
    failure = first_failure(tunnel)
    if failure is None:
        replacement = format_replacement(tunnel.replacement) if tunnel.replacement else ""
        return (replacement.replace("_", " "),)
    cause = failure.cause.replace("_", " ")
    return (cause, f"{cause} x{tunnel.attempt}" if tunnel.attempt > 1 else cause)


def since_cell(tunnel: TunnelSnapshot, now: Moment) -> Cell:
    """Return the time until the next attempt, or else the time in the current state."""
    if tunnel.retry_at is not None:
        return Cell("class:countdown", (f"in {format_time_left(tunnel.retry_at, now.wall)}",))
    return Cell("class:quiet", (time_since(tunnel.since, now.wall),))


def rate_cell(amount: float) -> Cell:
    """Return bytes per second. Zero is dimmed."""
    return Cell("class:number", (format_short_size(amount),)) if amount >= 1 else _ZERO


def count_cell(amount: int) -> Cell:
    """Return a count. Zero is dimmed."""
    return Cell("class:number", (format_short_size(amount),)) if amount else _ZERO


def traffic_cell(history: Sequence[Rate], glyphs: Glyphs) -> Cell:
    """Return the sparkline of the last seconds, the newest at its end."""
    return Cell("class:curve", (draw_sparkline([rate.total for rate in history], glyphs.bars),))
