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

Clicked = Callable[[MouseEvent], None]

WHEEL = 3
"""Rows or lines that one step of the wheel moves."""


def handlers(
    desk: Controller, press: Callable[[str], None], settle: Callable[[], None]
) -> dict[str, Clicked]:
    """For the parts of the screen, by name.

    press: as if this key were pressed. settle: called after each.
    """

    def clicked_in_bar(x: int, _y: int) -> None:
        hint = find_hint(list(desk.screen.hints), x)
        if hint is not None:
            press(hint.key)

    def clicked_in_body(x: int, y: int) -> None:
        if not isinstance(desk.ui_state.mode, Reading):
            _click_in_table(desk, x, y)

    return {
        "header": _handler(settle),
        "body": _handler(settle, clicked_in_body, lambda steps: desk.move(steps * WHEEL)),
        "detail": _handler(settle),
        "log": _handler(settle, scrolled=lambda steps: desk.scroll_log(-steps * WHEEL)),
        "bar": _handler(settle, clicked_in_bar),
    }


def _handler(
    settle: Callable[[], None],
    clicked: Callable[[int, int], None] = lambda _x, _y: None,
    scrolled: Callable[[int], None] = lambda _steps: None,
) -> Clicked:
    """clicked: at a column and a row; scrolled: one step down, or -1 for up."""

    def handle(event: MouseEvent) -> None:
        match event.event_type:
            case MouseEventType.SCROLL_UP:
                scrolled(-1)
            case MouseEventType.SCROLL_DOWN:
                scrolled(1)
            case MouseEventType.MOUSE_UP:
                clicked(event.position.x, event.position.y)
        settle()

    return handle


def _click_in_table(desk: Controller, x: int, y: int) -> None:
    """A title sorts, a tunnel is chosen, and the chosen one opened."""
    row = y - TABLE_HEADING_LINES
    if row == -1:
        column = find_column(desk.screen.columns, x)
        if column is not None and column.sort_key is not None:
            desk.sort_by(column.sort_key)
    elif 0 <= row < len(desk.screen.rows):
        name = desk.screen.rows[row]
        if name == desk.ui_state.selected:
            desk.toggle_detail()
        else:
            desk.choose(name)
