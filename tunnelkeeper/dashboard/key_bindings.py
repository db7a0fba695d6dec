"""Which key does what. The page of `?` is dashboard/manual.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings

from tunnelkeeper.dashboard.board import Present
from tunnelkeeper.dashboard.commandline import certain, completions
from tunnelkeeper.dashboard.desk import Desk
from tunnelkeeper.dashboard.view import Asking, Browsing, Reading, Typing

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.key_binding import KeyPressEvent

TO_THE_END = 10**9

MOVING: dict[str, Callable[[Desk], None]] = {
    "up k": lambda desk: desk.move(-1),
    "down j": lambda desk: desk.move(1),
    "pageup c-b": lambda desk: desk.turn_page(-1),
    "pagedown c-f": lambda desk: desk.turn_page(1),
    "home g": lambda desk: desk.move(-TO_THE_END),
    "end G": lambda desk: desk.move(TO_THE_END),
}
"""In the table and on a page."""

BROWSING: dict[str, Callable[[Desk], None]] = {
    "enter": Desk.toggle_detail,
    "s": lambda desk: desk.act("start"),
    "x": lambda desk: desk.act("stop"),
    "r": lambda desk: desk.act("restart"),
    "p": lambda desk: desk.act("restart", graceful=True),
    "w": lambda desk: desk.act("retry"),
    "R": Desk.reload,
    "space": Desk.mark,
    "a": Desk.mark_all,
    "/": Desk.type_filter,
    "f": Desk.type_search,
    ":": Desk.type_command,
    "o": Desk.sort_next,
    "O": Desk.turn_sorting,
    "l": Desk.cycle_log,
    "[": lambda desk: desk.scroll_log(1),
    "]": lambda desk: desk.scroll_log(-1),
    "? f1": Desk.help,
    "escape": Desk.escape,
    "q c-c c-d": Desk.quit,
}
ALONE: dict[str, Callable[[Desk], None]] = {"u": Desk.start_supervisor}
"""Where no supervisor answers."""

ASKING: dict[str, Callable[[Desk], None]] = {
    "y Y": lambda desk: desk.decide(yes=True),
    "<any>": lambda desk: desk.decide(yes=False),
}
READING: dict[str, Callable[[Desk], None]] = {
    "q ? enter escape": Desk.escape,
    "c-c c-d": Desk.quit,
}
TYPING: dict[str, Callable[[Desk], None]] = {"escape c-c": Desk.escape}


def key_bindings(desk: Desk, settle: Callable[[], None]) -> KeyBindings:
    """All of them; a line that is typed has prompt_toolkit's own besides.

    settle: called after each.
    """
    keys = KeyBindings()

    def bind(table: dict[str, Callable[[Desk], None]], when: Callable[[], bool]) -> None:
        for names, deed in table.items():
            for name in names.split():
                keys.add(name, filter=Condition(when))(_pressed(desk, deed, settle))

    def is_alone() -> bool:
        return isinstance(desk.view.mode, Browsing) and not isinstance(desk.board.link, Present)

    bind(MOVING, lambda: isinstance(desk.view.mode, Browsing | Reading))
    bind(BROWSING, lambda: isinstance(desk.view.mode, Browsing))
    bind(ALONE, is_alone)
    bind(ASKING, lambda: isinstance(desk.view.mode, Asking))
    bind(READING, lambda: isinstance(desk.view.mode, Reading))
    bind(TYPING, lambda: isinstance(desk.view.mode, Typing))
    is_commanding = Condition(lambda: desk.view.mode == Typing("command"))
    keys.add("tab", filter=is_commanding)(lambda event: _complete(event, desk))
    keys.add("c-z")(lambda event: event.app.suspend_to_background())
    keys.add("c-l")(lambda event: event.app.renderer.clear())
    return keys


def _pressed(
    desk: Desk, deed: Callable[[Desk], None], settle: Callable[[], None]
) -> Callable[[KeyPressEvent], None]:
    def pressed(_event: KeyPressEvent) -> None:
        desk.hush()
        deed(desk)
        settle()

    return pressed


def _complete(event: KeyPressEvent, desk: Desk) -> None:
    """What is certain is there at once, even when Enter is pressed in the same moment."""
    line = event.current_buffer
    if line.complete_state is not None:
        line.complete_next()
        return
    text = line.document.text_before_cursor
    line.insert_text(certain(text, desk.board))
    if len(completions(text, desk.board)) > 1:
        line.start_completion()
