"""What clicks and the wheel do in each part of the screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prompt_toolkit.mouse_events import MouseEvent, MouseEventType

from tunnelkeeper.dashboard.columns import find_column
from tunnelkeeper.dashboard.screen import TABLE_HEADING_LINES
from tunnelkeeper.dashboard.status_bar import find_hint
from tunnelkeeper.dashboard.ui_state import Reading

if TYPE_CHECKING:
    from tunnelkeeper.dashboard.controller import Controller

MouseHandler = Callable[[MouseEvent], None]

WHEEL_LINES = 3
"""Rows or lines that one step of the wheel moves."""


def create_mouse_handlers(
    controller: Controller, press_key: Callable[[str], None], update_focus: Callable[[], None]
) -> dict[str, MouseHandler]:
    """For the parts of the screen, by name.

    press: as if this key were pressed. settle: called after each.
    """

    def clicked_in_bar(x: int, _y: int) -> None:
        hint = find_hint(list(controller.screen.hints), x)
        if hint is not None:
            press_key(hint.key)

    def clicked_in_body(x: int, y: int) -> None:
        if not isinstance(controller.ui_state.mode, Reading):
            _on_table_click(controller, x, y)

    return {
        "header": _create_handler(update_focus),
        "body": _create_handler(
            update_focus, clicked_in_body, lambda steps: controller.move(steps * WHEEL_LINES)
        ),
        "detail": _create_handler(update_focus),
        "log": _create_handler(
            update_focus, on_scroll=lambda steps: controller.scroll_log(-steps * WHEEL_LINES)
        ),
        "bar": _create_handler(update_focus, clicked_in_bar),
    }


def _create_handler(
    update_focus: Callable[[], None],
    on_click: Callable[[int, int], None] = lambda _x, _y: None,
    on_scroll: Callable[[int], None] = lambda _steps: None,
) -> MouseHandler:
    """clicked: at a column and a row; scrolled: one step down, or -1 for up."""

    def handle(event: MouseEvent) -> None:
        match event.event_type:
            case MouseEventType.SCROLL_UP:
                on_scroll(-1)
            case MouseEventType.SCROLL_DOWN:
                on_scroll(1)
            case MouseEventType.MOUSE_UP:
                on_click(event.position.x, event.position.y)
        update_focus()

    return handle


def _on_table_click(controller: Controller, x: int, y: int) -> None:
    """A title sorts, a tunnel is chosen, and the chosen one opened."""
    row = y - TABLE_HEADING_LINES
    if row == -1:
        column = find_column(controller.screen.columns, x)
        if column is not None and column.sort_key is not None:
            controller.sort_by(column.sort_key)
    elif 0 <= row < len(controller.screen.rows):
        name = controller.screen.rows[row]
        if name == controller.ui_state.selected:
            controller.toggle_detail()
        else:
            controller.select(name)
