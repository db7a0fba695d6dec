"""The mouse on folded groups and on the page of a tunnel."""

from __future__ import annotations

from prompt_toolkit.data_structures import Point
from prompt_toolkit.mouse_events import MouseButton, MouseEvent, MouseEventType

from tests.control.fakes import a_forward, a_tunnel
from tests.dashboard.sample_model import ControllerHarness
from tunnelkeeper.dashboard.mouse import WHEEL_LINES, create_mouse_handlers


def use_mouse(harness: ControllerHarness, part: str, kind: MouseEventType, y: int = 0) -> None:
    """Send an event to a part of the screen, and draw."""
    handlers = create_mouse_handlers(harness.controller, lambda _key: None, lambda: None)
    handlers[part](MouseEvent(Point(10, y), kind, MouseButton.LEFT, frozenset()))
    harness.draw()


def click_row(harness: ControllerHarness, row: int) -> None:
    use_mouse(harness, "body", MouseEventType.MOUSE_UP, 2 + row)


def test_a_click_selects_a_folded_group_and_a_second_one_unfolds_it() -> None:
    harness = ControllerHarness()
    harness.controller.toggle_fold()
    harness.controller.move(1)
    harness.draw()
    click_row(harness, 0)
    assert (harness.ui_state.selected_group, harness.ui_state.folded) == ("work", {"work"})
    click_row(harness, 0)

    assert harness.ui_state.folded == set()
    assert not harness.ui_state.is_detail_open


def test_a_click_below_a_folded_group_selects_the_tunnel_of_that_row() -> None:
    harness = ControllerHarness()
    harness.controller.toggle_fold()
    harness.draw()
    click_row(harness, 2)

    assert (harness.ui_state.selected, harness.ui_state.selected_group) == ("half", None)


def test_on_a_page_the_wheel_scrolls_and_a_click_selects_nothing() -> None:
    forwards = [a_forward(listen=f"127.0.0.1:{port}") for port in range(9000, 9060)]
    harness = ControllerHarness(a_tunnel("db", forwards=forwards), a_tunnel("web"))
    harness.controller.open_page()
    harness.draw()
    use_mouse(harness, "body", MouseEventType.SCROLL_DOWN)
    assert harness.ui_state.page is not None
    assert harness.ui_state.page.first_line == WHEEL_LINES
    click_row(harness, 1)

    assert harness.ui_state.selected == "db"
