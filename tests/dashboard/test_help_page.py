"""The help and other pages: scrolling by line and page, and the position."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dashboard.sample_model import ControllerHarness
from tunnelkeeper.dashboard.glyphs import ASCII, UNICODE
from tunnelkeeper.dashboard.help_page import help_lines, render_page
from tunnelkeeper.dashboard.text_width import line_width
from tunnelkeeper.dashboard.ui_state import Reading


def text(harness: ControllerHarness) -> str:
    return harness.text(80, 24)


def test_the_help_scrolls_by_line_and_page_and_shows_its_position() -> None:
    harness = ControllerHarness()
    harness.controller.show_help()
    total = len(help_lines(UNICODE))
    assert f"lines 1-20 of {total}" in text(harness)
    harness.controller.move(1)
    assert f"lines 2-21 of {total}" in text(harness)
    harness.controller.move_pages(1)
    assert f"lines 21-40 of {total}" in text(harness)
    harness.controller.move_pages(-1)
    assert f"lines 2-21 of {total}" in text(harness)


def test_one_line_up_from_the_end_scrolls_at_once() -> None:
    harness = ControllerHarness()
    harness.controller.show_help()
    total = len(help_lines(UNICODE))
    harness.controller.move(10**9)
    assert f"lines {total - 19}-{total} of {total}" in text(harness)
    harness.controller.move(-1)

    assert f"lines {total - 20}-{total - 1} of {total}" in text(harness)


def test_a_short_page_does_not_scroll() -> None:
    harness = ControllerHarness()
    harness.controller.show_result("refused", "tunnels.toml:5: unknown key", is_error=True)
    before = text(harness)
    harness.controller.move(5)

    assert text(harness) == before
    assert " of " not in before


@given(
    st.lists(st.text(max_size=100), max_size=40),
    st.integers(0, 60),
    st.integers(20, 120),
    st.integers(2, 40),
)
def test_a_page_fills_its_part_and_its_position_stays_within_it(
    lines: list[str], first: int, cells: int, height: int
) -> None:
    reading = Reading("title", tuple(map(UNICODE.printable, lines)), first)
    rendered, top = render_page(reading, cells, height, UNICODE)

    assert len(rendered) == height
    assert {line_width(line) for line in rendered} == {cells}
    assert 0 <= top <= first


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_no_line_of_the_help_is_wrapped_at_80_columns(glyphs: object) -> None:
    lines = help_lines(ASCII if glyphs is ASCII else UNICODE)

    assert [line for line in lines if len(line) > 76] == []
