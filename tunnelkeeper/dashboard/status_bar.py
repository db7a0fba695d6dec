"""Renders the bottom line: a question, a message, or the keys that apply now. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.answering import Answering
from tunnelkeeper.dashboard.folding import FoldedGroup, group_of
from tunnelkeeper.dashboard.model import Connected, Disconnected
from tunnelkeeper.dashboard.table_rows import CONNECTED
from tunnelkeeper.dashboard.text_width import Line, fit_line, line_width
from tunnelkeeper.dashboard.ui_state import Confirming, Reading, UiState

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.dashboard.folding import Row
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.model import Model

WAITING = frozenset({"backoff", "blocked"})
"""States of tunnels that wait for their next attempt."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A key and its current effect.

    Attributes:
        key: the key's name in prompt_toolkit.
        key_text: the key on the screen. Empty: the same as `key`.
    """

    key: str
    label: str
    key_text: str = ""

    @property
    def width(self) -> int:
        """The cells of the hint, with the blanks in front of it."""
        return 2 + len(self.key_text or self.key) + 1 + len(self.label)

    def to_line(self) -> Line:
        """Return the hint as it appears in the bar."""
        key = ("class:key", self.key_text or self.key)
        return [("", "  "), key, ("class:quiet", f" {self.label}")]


def render_status_bar(model: Model, ui_state: UiState, selected: Row | None, cells: int) -> Line:
    """Return exactly one line. A question comes before a message, and a message before the keys."""
    glyphs, message = ui_state.glyphs, ui_state.message
    hints = select_hints(model, ui_state, selected, cells)
    keys = [fragment for hint in hints for fragment in hint.to_line()]
    if isinstance(ui_state.mode, Confirming):
        question: Line = [("class:question", f" {ui_state.mode.question} ")]
        return fit_line([*question, *keys], cells, glyphs.ellipsis)
    if message is not None:
        style = "class:message.error" if message.is_error else "class:message.info"
        line: Line = [(style, f" {glyphs.printable(message.text)} ")]
        if message.hint:
            line.append(("class:hint", f" {glyphs.printable(message.hint)}"))
        return fit_line(line, cells, glyphs.ellipsis)
    return fit_line(keys, cells, "")


def select_hints(model: Model, ui_state: UiState, selected: Row | None, cells: int) -> list[Hint]:
    """Return the keys that apply and fit. The keys for help and for leaving always stay."""
    match ui_state.mode:
        case Confirming():
            return [Hint("y", "yes"), Hint("n", "no")]
        case Reading():
            moves = [Hint("space", "next page", "Space"), Hint("j", "down"), Hint("k", "up")]
            return [Hint("escape", "back", "Esc"), *moves]
        case Answering() as answering:
            return _answering_hints(answering, model, ui_state.glyphs)
    leave = Hint("q", "quit") if ui_state.page is None else Hint("escape", "back", "Esc")
    last = [Hint("?", "help"), leave]
    room = cells - sum(hint.width for hint in last)
    shown: list[Hint] = []
    for hint in _main_hints(model, ui_state, selected):
        room -= hint.width
        if room < 0:
            break
        shown.append(hint)
    return [*shown, *last]


def find_hint(hints: list[Hint], x: int) -> Hint | None:
    """Return the hint at a position of the bar, or None right of the last hint."""
    end = 0
    for hint in hints:
        end += line_width(hint.to_line())
        if x < end:
            return hint
    return None


def _main_hints(model: Model, ui_state: UiState, selected: Row | None) -> list[Hint]:
    if not isinstance(model.feed_state, Connected):
        hints: list[Hint] = []
        if isinstance(model.feed_state, Disconnected):
            hints.append(Hint("u", "start a supervisor"))
        if model.supervisor and ui_state.page is None:
            hints.append(Hint("l", "log"))
        return [*hints, Hint("e", "edit")]
    hints = [Hint("A", "answer")] if _typed_questions(model) else []
    if ui_state.page is not None:
        return hints + _page_hints(model.tunnels.get(ui_state.page.name))
    hints += _tunnel_hints(ui_state, selected)
    hints += [Hint("e", "edit"), Hint("/", "filter"), Hint("l", "log")]
    if _can_fold(ui_state, selected):
        hints.append(Hint("space", "fold", "Space"))
    if selected is not None and not isinstance(selected, FoldedGroup):
        hints.append(Hint("y", "copy address"))
    hints += [Hint("!", "problems first"), Hint("o", "sort"), Hint("a", "all")]
    if ui_state.marked or isinstance(selected, FoldedGroup) or _is_connected(selected):
        hints.append(Hint("p", "restart gracefully"))
    hints += [Hint("R", "reload"), Hint(":", "command")]
    return hints


def _can_fold(ui_state: UiState, selected: Row | None) -> bool:
    if selected is None or isinstance(selected, FoldedGroup) or ui_state.filter:
        return False
    return group_of(selected) is not None


def _is_connected(selected: TunnelSnapshot | None) -> bool:
    return selected is not None and selected.state in CONNECTED


def _typed_questions(model: Model) -> int:
    return sum(question.kind != "touch" for question in model.questions.values())


def _answering_hints(answering: Answering, model: Model, glyphs: Glyphs) -> list[Hint]:
    others = _typed_questions(model) - (answering.question.id in model.questions)
    if answering.stage == "done":
        hints = [Hint("enter", "close", glyphs.enter)]
        return [*hints, Hint("c-n", "next question", "Ctrl-N")] if others else hints
    hints = []
    if answering.stage == "resting":
        hints.append(Hint("enter", "log in", glyphs.enter))
    elif answering.stage == "open":
        hints.append(Hint("enter", "send", glyphs.enter))
    if len(answering.fields) > 1:
        hints.append(Hint("tab", "next field", "Tab"))
    hints.append(Hint("escape", "decline", "Esc"))
    return [*hints, Hint("c-n", "next question", "Ctrl-N")] if others else hints


def _tunnel_hints(ui_state: UiState, selected: Row | None) -> list[Hint]:
    if ui_state.marked:
        return _hints_for_several(len(ui_state.marked))
    if selected is None:
        return []
    if isinstance(selected, FoldedGroup):
        unfold = Hint("enter", "unfold", ui_state.glyphs.enter)
        return [unfold, *_hints_for_several(len(selected.tunnels))]
    label = "close" if ui_state.is_detail_open else "detail"
    enter = Hint("enter", label, ui_state.glyphs.enter)
    return [enter, *_state_hints(selected), Hint("i", "page")]


def _page_hints(tunnel: TunnelSnapshot | None) -> list[Hint]:
    if tunnel is None:
        return []
    hints = [*_state_hints(tunnel), Hint("y", "copy address"), Hint("e", "edit")]
    return [*hints, Hint("[", "log back"), Hint("]", "log forward"), Hint("f", "search")]


def _state_hints(tunnel: TunnelSnapshot) -> list[Hint]:
    if tunnel.state == "stopped":
        return [Hint("s", "start")]
    if tunnel.state in WAITING:
        return [Hint("w", "retry now"), Hint("x", "stop")]
    if tunnel.state in CONNECTED or tunnel.state == "connecting":
        return [Hint("x", "stop"), Hint("r", "restart")]
    return []


def _hints_for_several(count: int) -> list[Hint]:
    return [
        Hint("s", f"start {count}"),
        Hint("x", f"stop {count}"),
        Hint("r", f"restart {count}"),
    ]
