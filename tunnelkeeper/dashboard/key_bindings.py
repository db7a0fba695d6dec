"""The key bindings: the operation of each key in dashboard/key_table.py, for each mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.keys import Keys

from tunnelkeeper.dashboard.answering import Answering
from tunnelkeeper.dashboard.command_parser import common_completion, completions
from tunnelkeeper.dashboard.controller import Controller
from tunnelkeeper.dashboard.model import Connected
from tunnelkeeper.dashboard.ui_state import Browsing, Confirming, Reading, Typing

if TYPE_CHECKING:
    from prompt_toolkit.key_binding import KeyPressEvent

    from tunnelkeeper.dashboard.ui_state import UiState

TO_END = 10**9

Operation = Callable[[Controller], None]

MOVING: dict[str, Operation] = {
    "up k": lambda controller: controller.move(-1),
    "down j": lambda controller: controller.move(1),
    "pageup c-b": lambda controller: controller.move_pages(-1),
    "pagedown c-f": lambda controller: controller.move_pages(1),
    "home g": lambda controller: controller.move(-TO_END),
    "end G": lambda controller: controller.move(TO_END),
}
TUNNEL: dict[str, Operation] = {
    "s": lambda controller: controller.control_tunnels("start"),
    "x": lambda controller: controller.control_tunnels("stop"),
    "r": lambda controller: controller.control_tunnels("restart"),
    "p": lambda controller: controller.control_tunnels("restart", graceful=True),
    "w": lambda controller: controller.control_tunnels("retry"),
    "A": lambda controller: controller.questions.open(),
    "y": Controller.copy_address,
    "e": Controller.edit_config,
    "R": Controller.ask_to_reload,
    "f": Controller.edit_search,
    "[": lambda controller: controller.scroll_log(1),
    "]": lambda controller: controller.scroll_log(-1),
    "? f1": Controller.show_help,
}
TABLE: dict[str, Operation] = {
    "enter": Controller.open_row,
    "i": Controller.open_page,
    "space": Controller.toggle_fold,
    "m insert": lambda controller: controller.cursor.toggle_mark(),
    "a": lambda controller: controller.cursor.toggle_all_marks(),
    "/": Controller.edit_filter,
    "o": Controller.sort_next,
    "O": Controller.reverse_sorting,
    "!": Controller.toggle_problems_first,
    "l": Controller.cycle_log,
    ":": Controller.edit_command,
    "escape": Controller.escape,
    "q c-c c-d": Controller.quit,
}
DISCONNECTED: dict[str, Operation] = {"u": Controller.start_supervisor}
TUNNEL_PAGE: dict[str, Operation] = {
    "escape q i": Controller.escape,
    "c-c c-d": Controller.quit,
}
READING: dict[str, Operation] = {
    "escape q ? f1 enter": Controller.escape,
    "space": lambda controller: controller.move_pages(1),
    "c-c c-d": Controller.quit,
}
CONFIRMING: dict[str, Operation] = {
    "y Y": lambda controller: controller.confirm(yes=True),
    "<any>": lambda controller: controller.confirm(yes=False),
}
ANSWERING: dict[str, Operation] = {
    "enter": lambda controller: controller.questions.enter(),
    "tab down": lambda controller: controller.questions.move_focus(1),
    "s-tab up": lambda controller: controller.questions.move_focus(-1),
    "backspace c-h": lambda controller: controller.questions.erase(),
    "c-u": lambda controller: controller.questions.erase_all(),
    "pageup": lambda controller: controller.questions.scroll(1),
    "pagedown": lambda controller: controller.questions.scroll(-1),
    "c-n": lambda controller: controller.questions.open_next(),
    "escape c-c c-d": lambda controller: controller.questions.escape(),
}
"""Keys while a question is open. Every other character is typed into its field."""

TYPING: dict[str, Operation] = {"escape c-c": Controller.escape}
"""Keys of the input line; prompt_toolkit binds Enter."""

EVERYWHERE: dict[str, Callable[[KeyPressEvent], None]] = {
    "c-z": lambda event: event.app.suspend_to_background(),
    "c-l": lambda event: event.app.renderer.clear(),
}
UNUSED_IN_ANSWERS = ("c-x", "c-q", "c-v")
"""Keys with which prompt_toolkit would record or insert what is typed next."""


def create_key_bindings(controller: Controller, update_focus: Callable[[], None]) -> KeyBindings:
    """Return the key bindings. The input line also has those of prompt_toolkit.

    Args:
        controller: handles the keys.
        update_focus: called after each key.
    """
    keys = KeyBindings()

    def bind(operations: dict[str, Operation], condition: Callable[[UiState], bool]) -> None:
        is_active = Condition(lambda: condition(controller.ui_state))
        for names, operation in operations.items():
            handler = _create_handler(controller, operation, update_focus)
            for name in names.split():
                keys.add(name, filter=is_active)(handler)

    def is_disconnected(ui_state: UiState) -> bool:
        is_connected = isinstance(controller.model.feed_state, Connected)
        return isinstance(ui_state.mode, Browsing) and not is_connected

    bind(MOVING, lambda ui_state: isinstance(ui_state.mode, Browsing | Reading))
    bind(TUNNEL, lambda ui_state: isinstance(ui_state.mode, Browsing))
    bind(TABLE, lambda ui_state: isinstance(ui_state.mode, Browsing) and ui_state.page is None)
    bind(
        TUNNEL_PAGE,
        lambda ui_state: isinstance(ui_state.mode, Browsing) and ui_state.page is not None,
    )
    bind(DISCONNECTED, is_disconnected)
    bind(CONFIRMING, lambda ui_state: isinstance(ui_state.mode, Confirming))
    bind(READING, lambda ui_state: isinstance(ui_state.mode, Reading))
    bind(TYPING, lambda ui_state: isinstance(ui_state.mode, Typing))
    bind(ANSWERING, lambda ui_state: isinstance(ui_state.mode, Answering))
    _bind_answers(keys, controller, update_focus)
    is_typing_command = Condition(lambda: controller.ui_state.mode == Typing("command"))
    keys.add("tab", filter=is_typing_command)(lambda event: _complete(event, controller))
    for name, handler in EVERYWHERE.items():
        keys.add(name)(handler)
    return keys


def _bind_answers(
    keys: KeyBindings, controller: Controller, update_focus: Callable[[], None]
) -> None:
    """Pass what is typed or pasted to the open question, and to no buffer."""
    is_answering = Condition(lambda: isinstance(controller.ui_state.mode, Answering))

    def on_character(event: KeyPressEvent) -> None:
        is_character = not isinstance(event.key_sequence[0].key, Keys)
        controller.clear_message()
        if is_character and event.data >= " ":
            controller.questions.type_text(event.data)
        update_focus()

    def on_paste(event: KeyPressEvent) -> None:
        controller.clear_message()
        controller.questions.paste(event.data)
        update_focus()

    keys.add("<any>", filter=is_answering)(on_character)
    keys.add("<bracketed-paste>", filter=is_answering, eager=True)(on_paste)
    # A character typed with Alt arrives as Escape and itself, which would then reach the table.
    keys.add("escape", "<any>", filter=is_answering)(lambda _event: None)
    for name in UNUSED_IN_ANSWERS:
        keys.add(name, filter=is_answering, eager=True)(lambda _event: None)


def _create_handler(
    controller: Controller, action: Callable[[Controller], None], update_focus: Callable[[], None]
) -> Callable[[KeyPressEvent], None]:
    def on_key_press(_event: KeyPressEvent) -> None:
        controller.clear_message()
        action(controller)
        update_focus()

    return on_key_press


def _complete(event: KeyPressEvent, controller: Controller) -> None:
    """Insert the common part of all completions, then open the menu if several remain.

    The menu opens later, so Enter right after Tab would miss it.
    """
    buffer = event.current_buffer
    if buffer.complete_state is not None:
        buffer.complete_next()
        return
    text = buffer.document.text_before_cursor
    buffer.insert_text(common_completion(text, controller.model))
    if len(completions(text, controller.model)) > 1:
        buffer.start_completion()
