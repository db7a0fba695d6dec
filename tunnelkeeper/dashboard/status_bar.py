"""The line at the bottom: the keys that apply now, a question, or an answer; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.model import Connected, Disconnected
from tunnelkeeper.dashboard.table_rows import CONNECTED
from tunnelkeeper.dashboard.text_width import Line, fit_line, line_width
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
    key_text: str = ""

    @property
    def width(self) -> int:
        """With the blanks before it."""
        return 2 + len(self.key_text or self.key) + 1 + len(self.label)

    def to_line(self) -> Line:
        """As it stands in the bar."""
        key = ("class:key", self.key_text or self.key)
        return [("", "  "), key, ("class:quiet", f" {self.label}")]


def render_status_bar(
    model: Model, ui_state: UiState, chosen: TunnelSnapshot | None, cells: int
) -> Line:
    """Exactly one line."""
    glyphs = ui_state.glyphs
    if isinstance(ui_state.mode, Confirming):
        question: Line = [("class:question", f" {ui_state.mode.question} ")]
        keys = [
            part for hint in select_hints(model, ui_state, chosen, cells) for part in hint.to_line()
        ]
        return fit_line([*question, *keys], cells, glyphs.ellipsis)
    if ui_state.message is not None:
        text = f" {glyphs.printable(ui_state.message.text)} "
        level = "error" if ui_state.message.is_error else "info"
        return fit_line([(f"class:message.{level}", text)], cells, glyphs.ellipsis)
    keys = [
        part for hint in select_hints(model, ui_state, chosen, cells) for part in hint.to_line()
    ]
    return fit_line(keys, cells, "")


def select_hints(
    model: Model, ui_state: UiState, chosen: TunnelSnapshot | None, cells: int
) -> list[Hint]:
    """The keys that apply, without those that do not fit: how to get help and out stay."""
    match ui_state.mode:
        case Confirming():
            return [Hint("y", "yes"), Hint("n", "no")]
        case Reading():
            return [Hint("escape", "back", "Esc"), Hint("j", "down"), Hint("k", "up")]
    some = _main_hints(model, ui_state, chosen)
    last = [Hint("?", "help"), Hint("q", "quit")]
    room = cells - sum(hint.width for hint in last)
    fitting: list[Hint] = []
    for hint in some:
        room -= hint.width
        if room < 0:
            break
        fitting.append(hint)
    return [*fitting, *last]


def find_hint(found: list[Hint], x: int) -> Hint | None:
    """The hint that was clicked at."""
    end = 0
    for hint in found:
        end += line_width(hint.to_line())
        if x < end:
            return hint
    return None


def _main_hints(model: Model, ui_state: UiState, chosen: TunnelSnapshot | None) -> list[Hint]:
    if not isinstance(model.feed_state, Connected):
        start = (
            [Hint("u", "start a supervisor")] if isinstance(model.feed_state, Disconnected) else []
        )
        return [*start, *([Hint("l", "log")] if model.supervisor else [])]
    found = _tunnel_hints(ui_state, chosen)
    found += [Hint("/", "filter"), Hint("l", "log"), Hint("o", "sort"), Hint("a", "all")]
    if ui_state.marked or (chosen is not None and chosen.state in CONNECTED):
        found.append(Hint("p", "restart gracefully"))
    found += [Hint("R", "reload"), Hint(":", "command")]
    return found


def _tunnel_hints(ui_state: UiState, chosen: TunnelSnapshot | None) -> list[Hint]:
    if ui_state.marked:
        count = len(ui_state.marked)
        return [
            Hint("s", f"start {count}"),
            Hint("x", f"stop {count}"),
            Hint("r", f"restart {count}"),
        ]
    if chosen is None:
        return []
    found = [Hint("enter", "close" if ui_state.is_detail_open else "detail", ui_state.glyphs.enter)]
    if chosen.state == "stopped":
        return [*found, Hint("s", "start")]
    if chosen.state in WAITING:
        return [*found, Hint("w", "retry now"), Hint("x", "stop")]
    if chosen.state in CONNECTED or chosen.state == "connecting":
        return [*found, Hint("x", "stop"), Hint("r", "restart")]
    return found
