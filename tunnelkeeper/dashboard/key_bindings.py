"""Which key does what. The page of `?` is dashboard/help_page.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings

from tunnelkeeper.dashboard.command_parser import common_completion, completions
from tunnelkeeper.dashboard.controller import Controller
from tunnelkeeper.dashboard.model import Connected
from tunnelkeeper.dashboard.ui_state import Browsing, Confirming, Reading, Typing

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.key_binding import KeyPressEvent

TO_END = 10**9

MOVING: dict[str, Callable[[Controller], None]] = {
    "up k": lambda desk: desk.move(-1),
    "down j": lambda desk: desk.move(1),
    "pageup c-b": lambda desk: desk.move_pages(-1),
    "pagedown c-f": lambda desk: desk.move_pages(1),
    "home g": lambda desk: desk.move(-TO_END),
    "end G": lambda desk: desk.move(TO_END),
}
"""In the table and on a page."""

BROWSING: dict[str, Callable[[Controller], None]] = {
    "enter": Controller.toggle_detail,
    "s": lambda desk: desk.control_tunnels("start"),
    "x": lambda desk: desk.control_tunnels("stop"),
    "r": lambda desk: desk.control_tunnels("restart"),
    "p": lambda desk: desk.control_tunnels("restart", graceful=True),
    "w": lambda desk: desk.control_tunnels("retry"),
    "R": Controller.ask_to_reload,
    "space": Controller.toggle_mark,
    "a": Controller.toggle_all_marks,
    "/": Controller.edit_filter,
    "f": Controller.edit_search,
    ":": Controller.edit_command,
    "o": Controller.sort_next,
    "O": Controller.reverse_sorting,
    "l": Controller.cycle_log,
    "[": lambda desk: desk.scroll_log(1),
    "]": lambda desk: desk.scroll_log(-1),
    "? f1": Controller.show_help,
    "escape": Controller.escape,
    "q c-c c-d": Controller.quit,
}
DISCONNECTED: dict[str, Callable[[Controller], None]] = {"u": Controller.start_supervisor}
"""Where no supervisor answers."""

CONFIRMING: dict[str, Callable[[Controller], None]] = {
    "y Y": lambda desk: desk.confirm(yes=True),
    "<any>": lambda desk: desk.confirm(yes=False),
}
READING: dict[str, Callable[[Controller], None]] = {
    "q ? enter escape": Controller.escape,
    "c-c c-d": Controller.quit,
}
TYPING: dict[str, Callable[[Controller], None]] = {"escape c-c": Controller.escape}


def create_key_bindings(controller: Controller, update_focus: Callable[[], None]) -> KeyBindings:
    """All of them; a line that is typed has prompt_toolkit's own besides.

    settle: called after each.
    """
    keys = KeyBindings()

    def bind(table: dict[str, Callable[[Controller], None]], when: Callable[[], bool]) -> None:
        for names, deed in table.items():
            for name in names.split():
                keys.add(name, filter=Condition(when))(
                    _create_handler(controller, deed, update_focus)
                )

    def is_alone() -> bool:
        return isinstance(controller.ui_state.mode, Browsing) and not isinstance(
            controller.model.feed_state, Connected
        )

    bind(MOVING, lambda: isinstance(controller.ui_state.mode, Browsing | Reading))
    bind(BROWSING, lambda: isinstance(controller.ui_state.mode, Browsing))
    bind(DISCONNECTED, is_alone)
    bind(CONFIRMING, lambda: isinstance(controller.ui_state.mode, Confirming))
    bind(READING, lambda: isinstance(controller.ui_state.mode, Reading))
    bind(TYPING, lambda: isinstance(controller.ui_state.mode, Typing))
    is_commanding = Condition(lambda: controller.ui_state.mode == Typing("command"))
    keys.add("tab", filter=is_commanding)(lambda event: _complete(event, controller))
    keys.add("c-z")(lambda event: event.app.suspend_to_background())
    keys.add("c-l")(lambda event: event.app.renderer.clear())
    return keys


def _create_handler(
    controller: Controller, action: Callable[[Controller], None], update_focus: Callable[[], None]
) -> Callable[[KeyPressEvent], None]:
    def pressed(_event: KeyPressEvent) -> None:
        controller.clear_message()
        action(controller)
        update_focus()

    return pressed


def _complete(event: KeyPressEvent, controller: Controller) -> None:
    """What is certain is there at once, even when Enter is pressed in the same moment."""
    buffer = event.current_buffer
    if buffer.complete_state is not None:
        buffer.complete_next()
        return
    text = buffer.document.text_before_cursor
    buffer.insert_text(common_completion(text, controller.model))
    if len(completions(text, controller.model)) > 1:
        buffer.start_completion()
