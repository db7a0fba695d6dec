"""Which key does what. The page of `?` is dashboard/help_page.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings

from tunnelkeeper.dashboard.command_parser import certain, completions
from tunnelkeeper.dashboard.controller import Controller
from tunnelkeeper.dashboard.model import Connected
from tunnelkeeper.dashboard.ui_state import Browsing, Confirming, Reading, Typing

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.key_binding import KeyPressEvent

TO_THE_END = 10**9

MOVING: dict[str, Callable[[Controller], None]] = {
    "up k": lambda desk: desk.move(-1),
    "down j": lambda desk: desk.move(1),
    "pageup c-b": lambda desk: desk.turn_page(-1),
    "pagedown c-f": lambda desk: desk.turn_page(1),
    "home g": lambda desk: desk.move(-TO_THE_END),
    "end G": lambda desk: desk.move(TO_THE_END),
}
"""In the table and on a page."""

BROWSING: dict[str, Callable[[Controller], None]] = {
    "enter": Controller.toggle_detail,
    "s": lambda desk: desk.act("start"),
    "x": lambda desk: desk.act("stop"),
    "r": lambda desk: desk.act("restart"),
    "p": lambda desk: desk.act("restart", graceful=True),
    "w": lambda desk: desk.act("retry"),
    "R": Controller.reload,
    "space": Controller.mark,
    "a": Controller.mark_all,
    "/": Controller.type_filter,
    "f": Controller.type_search,
    ":": Controller.type_command,
    "o": Controller.sort_next,
    "O": Controller.turn_sorting,
    "l": Controller.cycle_log,
    "[": lambda desk: desk.scroll_log(1),
    "]": lambda desk: desk.scroll_log(-1),
    "? f1": Controller.help,
    "escape": Controller.escape,
    "q c-c c-d": Controller.quit,
}
ALONE: dict[str, Callable[[Controller], None]] = {"u": Controller.start_supervisor}
"""Where no supervisor answers."""

ASKING: dict[str, Callable[[Controller], None]] = {
    "y Y": lambda desk: desk.decide(yes=True),
    "<any>": lambda desk: desk.decide(yes=False),
}
READING: dict[str, Callable[[Controller], None]] = {
    "q ? enter escape": Controller.escape,
    "c-c c-d": Controller.quit,
}
TYPING: dict[str, Callable[[Controller], None]] = {"escape c-c": Controller.escape}


def key_bindings(desk: Controller, settle: Callable[[], None]) -> KeyBindings:
    """All of them; a line that is typed has prompt_toolkit's own besides.

    settle: called after each.
    """
    keys = KeyBindings()

    def bind(table: dict[str, Callable[[Controller], None]], when: Callable[[], bool]) -> None:
        for names, deed in table.items():
            for name in names.split():
                keys.add(name, filter=Condition(when))(_pressed(desk, deed, settle))

    def is_alone() -> bool:
        return isinstance(desk.ui_state.mode, Browsing) and not isinstance(
            desk.model.feed_state, Connected
        )

    bind(MOVING, lambda: isinstance(desk.ui_state.mode, Browsing | Reading))
    bind(BROWSING, lambda: isinstance(desk.ui_state.mode, Browsing))
    bind(ALONE, is_alone)
    bind(ASKING, lambda: isinstance(desk.ui_state.mode, Confirming))
    bind(READING, lambda: isinstance(desk.ui_state.mode, Reading))
    bind(TYPING, lambda: isinstance(desk.ui_state.mode, Typing))
    is_commanding = Condition(lambda: desk.ui_state.mode == Typing("command"))
    keys.add("tab", filter=is_commanding)(lambda event: _complete(event, desk))
    keys.add("c-z")(lambda event: event.app.suspend_to_background())
    keys.add("c-l")(lambda event: event.app.renderer.clear())
    return keys


def _pressed(
    desk: Controller, deed: Callable[[Controller], None], settle: Callable[[], None]
) -> Callable[[KeyPressEvent], None]:
    def pressed(_event: KeyPressEvent) -> None:
        desk.hush()
        deed(desk)
        settle()

    return pressed


def _complete(event: KeyPressEvent, desk: Controller) -> None:
    """What is certain is there at once, even when Enter is pressed in the same moment."""
    line = event.current_buffer
    if line.complete_state is not None:
        line.complete_next()
        return
    text = line.document.text_before_cursor
    line.insert_text(certain(text, desk.model))
    if len(completions(text, desk.model)) > 1:
        line.start_completion()
