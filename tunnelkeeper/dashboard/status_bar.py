"""The line at the bottom: the keys that apply now, a question, or an answer; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.model import Connected, Disconnected
from tunnelkeeper.dashboard.table_rows import CONNECTED
from tunnelkeeper.dashboard.text_width import Line, fitted, line_width
from tunnelkeeper.dashboard.ui_state import Confirming, Reading, UiState

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.dashboard.model import Model

WAITING = frozenset({"backoff", "blocked"})


@dataclass(frozen=True, slots=True)
class Hint:
    """A key and what it does now. key: its name in prompt_toolkit; shown: on the screen."""

    key: str
    label: str
    shown: str = ""

    @property
    def cells(self) -> int:
        """With the blanks before it."""
        return 2 + len(self.shown or self.key) + 1 + len(self.label)

    def line(self) -> Line:
        """As it stands in the bar."""
        key = ("class:key", self.shown or self.key)
        return [("", "  "), key, ("class:quiet", f" {self.label}")]


def bar(board: Model, view: UiState, chosen: TunnelSnapshot | None, cells: int) -> Line:
    """Exactly one line."""
    signs = view.glyphs
    if isinstance(view.mode, Confirming):
        question: Line = [("class:question", f" {view.mode.question} ")]
        keys = [part for hint in hints(board, view, chosen, cells) for part in hint.line()]
        return fitted([*question, *keys], cells, signs.ellipsis)
    if view.message is not None:
        text = f" {signs.text(view.message.text)} "
        return fitted([(f"class:message.{view.message.tone}", text)], cells, signs.ellipsis)
    keys = [part for hint in hints(board, view, chosen, cells) for part in hint.line()]
    return fitted(keys, cells, "")


def hints(board: Model, view: UiState, chosen: TunnelSnapshot | None, cells: int) -> list[Hint]:
    """The keys that apply, without those that do not fit: how to get help and out stay."""
    match view.mode:
        case Confirming():
            return [Hint("y", "yes"), Hint("n", "no")]
        case Reading():
            return [Hint("escape", "back", "Esc"), Hint("j", "down"), Hint("k", "up")]
    some = _some(board, view, chosen)
    last = [Hint("?", "help"), Hint("q", "quit")]
    room = cells - sum(hint.cells for hint in last)
    fitting: list[Hint] = []
    for hint in some:
        room -= hint.cells
        if room < 0:
            break
        fitting.append(hint)
    return [*fitting, *last]


def hint_at(found: list[Hint], x: int) -> Hint | None:
    """The hint that was clicked at."""
    end = 0
    for hint in found:
        end += line_width(hint.line())
        if x < end:
            return hint
    return None


def _some(board: Model, view: UiState, chosen: TunnelSnapshot | None) -> list[Hint]:
    if not isinstance(board.feed_state, Connected):
        start = (
            [Hint("u", "start a supervisor")] if isinstance(board.feed_state, Disconnected) else []
        )
        return [*start, *([Hint("l", "log")] if board.supervisor else [])]
    found = _for_tunnels(view, chosen)
    found += [Hint("/", "filter"), Hint("l", "log"), Hint("o", "sort"), Hint("a", "all")]
    if view.marked or (chosen is not None and chosen.state in CONNECTED):
        found.append(Hint("p", "restart gracefully"))
    found += [Hint("R", "reload"), Hint(":", "command")]
    return found


def _for_tunnels(view: UiState, chosen: TunnelSnapshot | None) -> list[Hint]:
    if view.marked:
        count = len(view.marked)
        return [
            Hint("s", f"start {count}"),
            Hint("x", f"stop {count}"),
            Hint("r", f"restart {count}"),
        ]
    if chosen is None:
        return []
    found = [Hint("enter", "close" if view.is_detail_open else "detail", view.glyphs.enter)]
    if chosen.state == "stopped":
        return [*found, Hint("s", "start")]
    if chosen.state in WAITING:
        return [*found, Hint("w", "retry now"), Hint("x", "stop")]
    if chosen.state in CONNECTED or chosen.state == "connecting":
        return [*found, Hint("x", "stop"), Hint("r", "restart")]
    return found
