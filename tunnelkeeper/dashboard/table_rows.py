"""The rows of the table; pure.

Only rows on the screen are made into text. What a tunnel's longer columns say is kept until its
next snapshot, so that finding the widths of the columns costs little for many tunnels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.columns import FLEXIBLE, Column, fit, gap_before
from tunnelkeeper.dashboard.glyphs import sparkline
from tunnelkeeper.dashboard.text_width import Fragment, Line, cut, left, right, width
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
class Texts:
    """What is long in a row, how wide it is, and what it was made of."""

    of: TunnelSnapshot
    host: str
    forwards: tuple[str, ...]
    failure: str
    widths: tuple[int, ...]
    """Of what FLEXIBLE names, in its order."""


@dataclass(slots=True)
class Table:
    """Makes columns and rows; remembers texts from one picture to the next."""

    signs: Glyphs
    _texts: dict[str, Texts] = field(default_factory=dict)

    def texts(self, tunnel: TunnelSnapshot) -> Texts:
        """The long texts of a tunnel."""
        known = self._texts.get(tunnel.name)
        if known is not None and known.of is tunnel:
            return known
        if known is not None and _says_the_same(known.of, tunnel):
            made = replace(known, of=tunnel)
        else:
            made = self._made(tunnel)
        self._texts[tunnel.name] = made
        return made

    def columns(self, tunnels: Sequence[TunnelSnapshot], cells: int) -> list[tuple[Column, int]]:
        """The columns that fit into a width, and how wide each is."""
        widths = [self.texts(tunnel).widths for tunnel in tunnels] or [(0,) * len(FLEXIBLE)]
        natural = map(max, zip(*widths, strict=True))
        return fit(dict(zip(FLEXIBLE, natural, strict=True)), cells)

    def row(
        self,
        tunnel: TunnelSnapshot,
        columns: Sequence[tuple[Column, int]],
        board: Model,
        view: UiState,
        now: Moment,
    ) -> Line:
        """A tunnel's row, as wide as the columns are."""
        signs = self.signs
        marked = signs.marked if tunnel.name in view.marked else " "
        sign = (f"class:state.{tunnel.state}", signs.states[tunnel.state])
        line: Line = [("class:marked", marked), sign, ("", " ")]
        widths = {column.key: room for column, room in columns}
        cells = self._cells(tunnel, board, now, widths)
        for index, (column, room) in enumerate(columns):
            style, text = cells[column.key]
            put = right if column.is_number else left
            gap = " " * gap_before(column) if index else ""
            line += [("", gap), (style, put(text, room, signs.ellipsis))]
        return line

    def _made(self, tunnel: TunnelSnapshot) -> Texts:
        host = self.signs.text(format_host_chain(tunnel))
        forwards = tuple(forward_words(forward, self.signs) for forward in tunnel.forwards)
        failure = self.signs.text(failure_words(tunnel))
        longest = (self.signs.text(tunnel.name), host, ", ".join(forwards), failure)
        return Texts(tunnel, host, forwards, failure, tuple(map(width, longest)))

    def _cells(
        self, tunnel: TunnelSnapshot, board: Model, now: Moment, widths: dict[str, int]
    ) -> dict[str, Fragment]:
        texts, rate = self.texts(tunnel), board.rate(tunnel.name)
        host = way_as_fits(texts.host, len(tunnel.jump), widths.get("host", 0), self.signs)
        curve = [each.total for each in board.series(tunnel.name, widths.get("traffic", 0))]
        is_connected = tunnel.state in CONNECTED
        rtt = "" if tunnel.rtt_ms is None else format_milliseconds(tunnel.rtt_ms).replace(" ", "")
        return {
            "name": ("class:name", self.signs.text(tunnel.name)),
            "state": (f"class:state.{tunnel.state}", tunnel.state),
            "host": ("class:host", host),
            "forwards": ("class:forwards", as_fits(texts.forwards, widths.get("forwards", 0))),
            "since": since(tunnel, now),
            "rtt": ("class:number", rtt if is_connected else ""),
            "in": flow(rate.inbound) if is_connected else ("", ""),
            "out": flow(rate.outbound) if is_connected else ("", ""),
            "traffic": ("class:curve", sparkline(curve, self.signs.bars)),
            "open": count(tunnel.connections),
            "restarts": count(tunnel.restarts),
            "failure": (f"class:failure.{tunnel.state}", texts.failure),
        }


def _says_the_same(old: TunnelSnapshot, new: TunnelSnapshot) -> bool:
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


def selected(line: Line) -> Line:
    """A row under the cursor: one bar without other colours, so that it is calm and can be read."""
    return [("class:selected", "".join(text for _, text in line))]


def failure_words(tunnel: TunnelSnapshot) -> str:
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


def forward_words(forward: ForwardSnapshot, signs: Glyphs) -> str:
    """A forward in short."""
    return signs.text(format_forward(forward)).replace(" -> ", f" {signs.arrow} ")


def way_as_fits(way: str, jumps: int, cells: int, signs: Glyphs) -> str:
    """A way in full, else without users, else with its jump hosts only counted."""
    if width(way) <= cells:
        return way
    way = _USER.sub("", way)
    if width(way) <= cells or not jumps:
        return way
    more = f" +{jumps}"
    return cut(way.partition(" via ")[0], cells - len(more), signs.ellipsis) + more


def as_fits(texts: tuple[str, ...], cells: int) -> str:
    """Several texts, or as many as fit and how many more there are."""
    for count in range(len(texts), 1, -1):
        more = f" +{len(texts) - count}" if count < len(texts) else ""
        if width(shortened := ", ".join(texts[:count]) + more) <= cells:
            return shortened
    if len(texts) < 2:
        return "".join(texts)
    more = f" +{len(texts) - 1}"
    return cut(texts[0], cells - len(more), "") + more


def since(tunnel: TunnelSnapshot, now: Moment) -> Fragment:
    """How long it is so, or how long until it is tried again."""
    if tunnel.retry_at is not None:
        return "class:countdown", f"in {format_time_left(tunnel.retry_at, now.wall)}"
    return "class:quiet", time_since(tunnel.since, now.wall)


def flow(amount: float) -> Fragment:
    """Bytes per second."""
    return ("class:number", format_short_size(amount)) if amount >= 1 else ("class:quiet", "0")


def count(amount: int) -> Fragment:
    """How many; none is not worth a look."""
    return ("class:number", format_short_size(amount)) if amount else ("class:quiet", "0")
