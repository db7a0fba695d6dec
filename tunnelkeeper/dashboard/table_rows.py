"""The rows of the table; pure.

Only rows on the screen are made into text. What a tunnel's longer columns say is kept until its
next snapshot, so that finding the widths of the columns costs little for many tunnels.
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
    format_replacement,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.snapshot import ForwardSnapshot, TunnelSnapshot
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import Moment, UiState

CONNECTED = frozenset({"up", "degraded"})
_USER = re.compile(r"[^ @]+@")


@dataclass(frozen=True, slots=True)
class RowTexts:
    """What is long in a row, how wide it is, and what it was made of."""

    tunnel: TunnelSnapshot
    host: str
    forwards: tuple[str, ...]
    failure: str
    widths: tuple[int, ...]
    """Of what FLEXIBLE names, in its order."""


@dataclass(slots=True)
class Table:
    """Makes columns and rows; remembers texts from one picture to the next."""

    glyphs: Glyphs
    _texts: dict[str, RowTexts] = field(default_factory=dict)

    def texts(self, tunnel: TunnelSnapshot) -> RowTexts:
        """The long texts of a tunnel."""
        known = self._texts.get(tunnel.name)
        if known is not None and known.tunnel is tunnel:
            return known
        if known is not None and _has_same_texts(known.tunnel, tunnel):
            made = replace(known, tunnel=tunnel)
        else:
            made = self._format_texts(tunnel)
        self._texts[tunnel.name] = made
        return made

    def fit_columns(
        self, tunnels: Sequence[TunnelSnapshot], cells: int
    ) -> list[tuple[Column, int]]:
        """The columns that fit into a width, and how wide each is."""
        widths = [self.texts(tunnel).widths for tunnel in tunnels] or [(0,) * len(FLEXIBLE)]
        natural = map(max, zip(*widths, strict=True))
        return fit_columns(dict(zip(FLEXIBLE, natural, strict=True)), cells)

    def render_row(
        self,
        tunnel: TunnelSnapshot,
        columns: Sequence[tuple[Column, int]],
        model: Model,
        ui_state: UiState,
        now: Moment,
    ) -> Line:
        """A tunnel's row, as wide as the columns are."""
        glyphs = self.glyphs
        marked = glyphs.marked if tunnel.name in ui_state.marked else " "
        sign = (f"class:state.{tunnel.state}", glyphs.states[tunnel.state])
        line: Line = [("class:marked", marked), sign, ("", " ")]
        widths = {column.key: room for column, room in columns}
        cells = self._format_fields(tunnel, model, now, widths)
        for index, (column, room) in enumerate(columns):
            style, text = cells[column.key]
            put = align_right if column.is_number else align_left
            gap = " " * gap_before(column) if index else ""
            line += [("", gap), (style, put(text, room, glyphs.ellipsis))]
        return line

    def _format_texts(self, tunnel: TunnelSnapshot) -> RowTexts:
        host = self.glyphs.printable(format_host_chain(tunnel))
        forwards = tuple(forward_text(forward, self.glyphs) for forward in tunnel.forwards)
        failure = self.glyphs.printable(failure_text(tunnel))
        longest = (self.glyphs.printable(tunnel.name), host, ", ".join(forwards), failure)
        return RowTexts(tunnel, host, forwards, failure, tuple(map(cell_width, longest)))

    def _format_fields(
        self, tunnel: TunnelSnapshot, model: Model, now: Moment, widths: dict[str, int]
    ) -> dict[str, Fragment]:
        texts, rate = self.texts(tunnel), model.rate(tunnel.name)
        host = fit_host_chain(texts.host, len(tunnel.jump), widths.get("host", 0), self.glyphs)
        curve = [each.total for each in model.series(tunnel.name, widths.get("traffic", 0))]
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
            "traffic": ("class:curve", draw_sparkline(curve, self.glyphs.bars)),
            "open": format_count(tunnel.connections),
            "restarts": format_count(tunnel.restarts),
            "failure": (f"class:failure.{tunnel.state}", texts.failure),
        }


def _has_same_texts(old: TunnelSnapshot, new: TunnelSnapshot) -> bool:
    """Whether two snapshots differ in counters at most, as they do all the time."""
    return (
        old.state == new.state
        and old.host == new.host
        and old.attempt == new.attempt
        and old.failure == new.failure
        and old.progress == new.progress
        and old.replacement == new.replacement
        and old.jump == new.jump
        and [forward.listen for forward in old.forwards] == [f.listen for f in new.forwards]
        and [forward.failure for forward in old.forwards] == [f.failure for f in new.forwards]
        and [forward.connect for forward in old.forwards] == [f.connect for f in new.forwards]
    )


def highlight(line: Line) -> Line:
    """A row under the cursor: one bar without other colours, so that it is calm and can be read."""
    return [("class:selected", "".join(text for _, text in line))]


def failure_text(tunnel: TunnelSnapshot) -> str:
    """The last failure in a few words: its cause and how often; else what is under way."""
    if tunnel.state == "connecting" and tunnel.progress is not None:
        step = tunnel.progress.step.replace("_", " ")
        return f"{step}, try {tunnel.attempt}" if tunnel.attempt > 1 else step
    failure = first_failure(tunnel)
    if failure is None:
        under_way = format_replacement(tunnel.replacement) if tunnel.replacement else ""
        return under_way.replace("_", " ")
    words = failure.cause.replace("_", " ")
    return f"{words} x{tunnel.attempt}" if tunnel.attempt > 1 else words


def forward_text(forward: ForwardSnapshot, glyphs: Glyphs) -> str:
    """A forward in short."""
    return glyphs.printable(format_forward(forward)).replace(" -> ", f" {glyphs.arrow} ")


def fit_host_chain(way: str, jumps: int, cells: int, glyphs: Glyphs) -> str:
    """A way in full, else without users, else with its jump hosts only counted."""
    if cell_width(way) <= cells:
        return way
    way = _USER.sub("", way)
    if cell_width(way) <= cells or not jumps:
        return way
    more = f" +{jumps}"
    return truncate(way.partition(" via ")[0], cells - len(more), glyphs.ellipsis) + more


def fit_list(texts: tuple[str, ...], cells: int) -> str:
    """Several texts, or as many as fit and how many more there are."""
    for count in range(len(texts), 1, -1):
        more = f" +{len(texts) - count}" if count < len(texts) else ""
        if cell_width(shortened := ", ".join(texts[:count]) + more) <= cells:
            return shortened
    if len(texts) < 2:
        return "".join(texts)
    more = f" +{len(texts) - 1}"
    return truncate(texts[0], cells - len(more), "") + more


def format_since(tunnel: TunnelSnapshot, now: Moment) -> Fragment:
    """How long it is so, or how long until it is tried again."""
    if tunnel.retry_at is not None:
        return "class:countdown", f"in {format_time_left(tunnel.retry_at, now.wall)}"
    return "class:quiet", time_since(tunnel.since, now.wall)


def format_rate(amount: float) -> Fragment:
    """Bytes per second."""
    return ("class:number", format_short_size(amount)) if amount >= 1 else ("class:quiet", "0")


def format_count(amount: int) -> Fragment:
    """How many; none is not worth a look."""
    return ("class:number", format_short_size(amount)) if amount else ("class:quiet", "0")
