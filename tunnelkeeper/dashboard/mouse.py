"""The mouse handlers: clicks and the wheel in each part of the screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prompt_toolkit.mouse_events import MouseEvent, MouseEventType

from tunnelkeeper.dashboard.answering import Answering
from tunnelkeeper.dashboard.columns import find_column
from tunnelkeeper.dashboard.heights import TABLE_HEADING_LINES
from tunnelkeeper.dashboard.status_bar import find_hint
from tunnelkeeper.dashboard.ui_state import Reading

if TYPE_CHECKING:
    from tunnelkeeper.dashboard.controller import Controller

MouseHandler = Callable[[MouseEvent], None]

WHEEL_LINES = 3
"""Rows or lines that one step of the wheel scrolls."""


def create_mouse_handlers(
    controller: Controller, press_key: Callable[[str], None], update_focus: Callable[[], None]
) -> dict[str, MouseHandler]:
    """Return a handler for each part of the screen, by name.

    Args:
        controller: handles clicks and scrolling.
        press_key: simulates a key press.
        update_focus: called after each event.
    """

    def on_bar_click(x: int, _y: int) -> None:
        hint = find_hint(list(controller.screen.hints), x)
        if hint is not None:
            press_key(hint.key)

    def on_body_click(x: int, y: int) -> None:
        ui_state = controller.ui_state
        if ui_state.page is None and not isinstance(ui_state.mode, Reading | Answering):
            _on_table_click(controller, x, y)

    return {
        "header": _create_handler(update_focus),
        "body": _create_handler(
            update_focus, on_body_click, lambda steps: controller.move(steps * WHEEL_LINES)
        ),
        "detail": _create_handler(update_focus),
        "log": _create_handler(
            update_focus, on_scroll=lambda steps: controller.scroll_log(-steps * WHEEL_LINES)
        ),
        "bar": _create_handler(update_focus, on_bar_click),
    }


def _create_handler(
    update_focus: Callable[[], None],
    on_click: Callable[[int, int], None] = lambda _x, _y: None,
    on_scroll: Callable[[int], None] = lambda _steps: None,
) -> MouseHandler:
    """Return a handler. `on_click` gets a column and a row, `on_scroll` 1 (down) or -1 (up)."""

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
    """Sort by the clicked title, select the clicked row, or open it if it is selected."""
    row = y - TABLE_HEADING_LINES
    if row == -1:
        column = find_column(controller.screen.columns, x)
        if column is not None and column.sort_key is not None:
            controller.sort_by(column.sort_key)
    elif 0 <= row < len(controller.screen.rows):
        name = controller.screen.rows[row]
        if name in {tunnel.name for tunnel in controller.cursor.tunnels()}:
            controller.open_row()
        else:
            controller.select(name)
