"""Renders the rows of the table. Pure.

Only visible rows are rendered. The texts of a tunnel's longer columns are cached until they change,
so that computing the column widths stays cheap with many tunnels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.columns import FLEXIBLE, Column, fit_columns, gap_before
from tunnelkeeper.dashboard.glyphs import draw_sparkline
from tunnelkeeper.dashboard.text_width import (
    Fragment,
    Line,
    align_left,
    align_right,
    cell_width,
    truncate,
)
from tunnelkeeper.presentation.formatting import (
    format_milliseconds,
    format_short_size,
    format_time_left,
    time_since,
)
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

_WAITS = "waits: "
_USER = re.compile(r"[^ @]+@")


@dataclass(frozen=True, slots=True)
class RowTexts:
    """The long texts of a row with their widths, and the snapshot that they describe."""

    tunnel: TunnelSnapshot
    question: QuestionSnapshot | None
    host: str
    forwards: tuple[str, ...]
    failure: str
    widths: tuple[int, ...]
    """Widths of the columns in FLEXIBLE, in that order."""


@dataclass(slots=True)
class Table:
    """The table of tunnels, with a cache of the texts of its rows."""

    glyphs: Glyphs
    _texts: dict[str, RowTexts] = field(default_factory=dict)

    def texts(self, tunnel: TunnelSnapshot, model: Model) -> RowTexts:
        """Return the long texts of a tunnel, from the cache if they have not changed."""
        cached = self._texts.get(tunnel.name)
        question = model.awaited_by(tunnel.name)
        if cached is not None and cached.question is not question:
            cached = None
        if cached is not None and cached.tunnel is tunnel:
            return cached
        if cached is not None and _has_same_texts(cached.tunnel, tunnel):
            texts = replace(cached, tunnel=tunnel)
        else:
            texts = self._format_texts(tunnel, question)
        self._texts[tunnel.name] = texts
        return texts

    def fit_columns(
        self, tunnels: Sequence[TunnelSnapshot], model: Model, cells: int
    ) -> list[tuple[Column, int]]:
        """Return the columns that fit into `cells`, with their widths."""
        widths = [self.texts(tunnel, model).widths for tunnel in tunnels] or [(0,) * len(FLEXIBLE)]
        preferred = map(max, zip(*widths, strict=True))
        return fit_columns(dict(zip(FLEXIBLE, preferred, strict=True)), cells)

    def render_row(
        self,
        tunnel: TunnelSnapshot,
        columns: Sequence[tuple[Column, int]],
        model: Model,
        ui_state: UiState,
        now: Moment,
    ) -> Line:
        """Return a tunnel's row with these columns."""
        glyphs = self.glyphs
        mark = glyphs.marked if tunnel.name in ui_state.marked else " "
        state = (f"class:state.{tunnel.state}", glyphs.states[tunnel.state])
        line: Line = [("class:marked", mark), state, ("", " ")]
        widths = {column.key: width for column, width in columns}
        fields = self._format_fields(tunnel, model, now, widths)
        for index, (column, width) in enumerate(columns):
            style, text = fields[column.key]
            align = align_right if column.is_number else align_left
            gap = " " * gap_before(column) if index else ""
            line += [("", gap), (style, align(text, width, glyphs.ellipsis))]
        return line

    def _format_texts(self, tunnel: TunnelSnapshot, question: QuestionSnapshot | None) -> RowTexts:
        host = self.glyphs.printable(format_host_chain(tunnel))
        forwards = tuple(forward_text(forward, self.glyphs) for forward in tunnel.forwards)
        failure = self.glyphs.printable(failure_text(tunnel, question))
        full_texts = (self.glyphs.printable(tunnel.name), host, ", ".join(forwards), failure)
        return RowTexts(
            tunnel, question, host, forwards, failure, tuple(map(cell_width, full_texts))
        )

    def _format_fields(
        self, tunnel: TunnelSnapshot, model: Model, now: Moment, widths: dict[str, int]
    ) -> dict[str, Fragment]:
        texts, rate = self.texts(tunnel, model), model.throughput(tunnel.name)
        host = fit_host_chain(texts.host, len(tunnel.jump), widths.get("host", 0), self.glyphs)
        failure_width = widths.get("failure", 0)
        totals = [
            rate.total for rate in model.throughput_history(tunnel.name, widths.get("traffic", 0))
        ]
        is_connected = tunnel.state in CONNECTED
        rtt = "" if tunnel.rtt_ms is None else format_milliseconds(tunnel.rtt_ms).replace(" ", "")
        return {
            "name": ("class:name", self.glyphs.printable(tunnel.name)),
            "state": (f"class:state.{tunnel.state}", tunnel.state),
            "host": ("class:host", host),
            "forwards": ("class:forwards", fit_list(texts.forwards, widths.get("forwards", 0))),
            "since": format_since(tunnel, now),
            "rtt": ("class:number", rtt if is_connected else ""),
            "in": format_rate(rate.inbound) if is_connected else ("", ""),
            "out": format_rate(rate.outbound) if is_connected else ("", ""),
            "traffic": ("class:curve", draw_sparkline(totals, self.glyphs.bars)),
            "open": format_count(tunnel.connections),
            "restarts": format_count(tunnel.restarts),
            "failure": (f"class:failure.{tunnel.state}", fit_wait(texts.failure, failure_width)),
        }


def _has_same_texts(old: TunnelSnapshot, new: TunnelSnapshot) -> bool:
    """Return whether two snapshots have the same long texts. Most differ only in counters."""
    return (
        old.state == new.state
        and old.host == new.host
        and old.attempt == new.attempt
        and old.failure == new.failure
        and old.progress == new.progress
        and old.replacement == new.replacement
        and old.jump == new.jump
        and [f.listen for f in old.forwards] == [f.listen for f in new.forwards]
        and [f.failure for f in old.forwards] == [f.failure for f in new.forwards]
        and [f.connect for f in old.forwards] == [f.connect for f in new.forwards]
    )


def highlight(line: Line) -> Line:
    """Return the selected row: one bar without other colours, so that it is easy to read."""
    return [("class:selected", "".join(text for _, text in line))]


def failure_text(tunnel: TunnelSnapshot, question: QuestionSnapshot | None = None) -> str:
    """Return what a tunnel waits for, its step, its last cause and count, or a replacement.

    question: the one that the tunnel waits for.
    """
    if question is not None and tunnel.state not in {"stopped", "connecting"}:
        return f"{_WAITS}{WAITS[question.kind]}"
    if tunnel.state == "connecting" and tunnel.progress is not None:
        step = format_progress(tunnel.progress).replace("_", " ")
        return f"{step}, try {tunnel.attempt}" if tunnel.attempt > 1 else step
    failure = first_failure(tunnel)
    if failure is None:
        replacement = format_replacement(tunnel.replacement) if tunnel.replacement else ""
        return replacement.replace("_", " ")
    cause = failure.cause.replace("_", " ")
    return f"{cause} x{tunnel.attempt}" if tunnel.attempt > 1 else cause


def forward_text(forward: ForwardSnapshot, glyphs: Glyphs) -> str:
    """Return a forward in short, such as `L 5432 → db:5432`."""
    return glyphs.printable(format_forward(forward)).replace(" -> ", f" {glyphs.arrow} ")


def fit_host_chain(host_chain: str, jump_count: int, cells: int, glyphs: Glyphs) -> str:
    """Return the longest form that fits: full, without user names, or with jump hosts counted."""
    if cell_width(host_chain) <= cells:
        return host_chain
    host_chain = _USER.sub("", host_chain)
    if cell_width(host_chain) <= cells or not jump_count:
        return host_chain
    more = f" +{jump_count}"
    return truncate(host_chain.partition(" via ")[0], cells - len(more), glyphs.ellipsis) + more


def fit_list(texts: tuple[str, ...], cells: int) -> str:
    """Join the texts that fit, and append the number of the others: `+2`."""
    for count in range(len(texts), 1, -1):
        more = f" +{len(texts) - count}" if count < len(texts) else ""
        if cell_width(shortened := ", ".join(texts[:count]) + more) <= cells:
            return shortened
    if len(texts) < 2:
        return "".join(texts)
    more = f" +{len(texts) - 1}"
    return truncate(texts[0], cells - len(more), "") + more


def fit_wait(text: str, cells: int) -> str:
    """Return `waits: passphrase`, or only what the tunnel waits for if that does not fit."""
    return text if cell_width(text) <= cells else text.removeprefix(_WAITS)


def format_since(tunnel: TunnelSnapshot, now: Moment) -> Fragment:
    """Return the time until the next attempt, or else the time in the current state."""
    if tunnel.retry_at is not None:
        return "class:countdown", f"in {format_time_left(tunnel.retry_at, now.wall)}"
    return "class:quiet", time_since(tunnel.since, now.wall)


def format_rate(amount: float) -> Fragment:
    """Return bytes per second."""
    return ("class:number", format_short_size(amount)) if amount >= 1 else ("class:quiet", "0")


def format_count(amount: int) -> Fragment:
    """Return a count. Zero is dimmed."""
    return ("class:number", format_short_size(amount)) if amount else ("class:quiet", "0")
