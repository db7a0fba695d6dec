"""Text from outside takes as many cells as is reckoned, whatever it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcwidth

from tunnelkeeper.dashboard.text_width import (
    Line,
    align_left,
    align_right,
    cell_width,
    fit_line,
    line_width,
    printable_text,
    spread,
    truncate,
    wrap,
)

TEXTS = st.text(max_size=60)
LINES = st.lists(st.tuples(st.just(""), TEXTS.map(printable_text)), max_size=5)


@given(TEXTS)
def test_what_is_safe_has_no_control_and_no_character_without_a_cell(text: str) -> None:
    made = printable_text(text)

    assert made.isprintable()
    assert all(wcwidth(character) > 0 for character in made)
    assert cell_width(made) == sum(wcwidth(character) for character in made)


def test_an_escape_sequence_is_shown_and_not_obeyed() -> None:
    assert printable_text("\x1b[2Jgone\n\u202e") == "\\x1b[2Jgone\\n\\u202e"


def test_an_accent_joins_its_letter_and_what_joins_none_is_left_out() -> None:
    assert printable_text("e\u0301") == "é"
    assert printable_text("x\u0301\u0302\ufe0f") == "x"


@given(TEXTS.map(printable_text), st.integers(0, 70))
def test_a_text_is_cut_and_filled_to_its_place(text: str, cells: int) -> None:
    assert cell_width(truncate(text, cells, "…")) <= cells
    assert cell_width(align_left(text, cells, "…")) == cells
    assert cell_width(align_right(text, cells, "")) == cells


def test_a_cut_text_says_so() -> None:
    assert truncate("refused", 4, "…") == "ref…"
    assert truncate("漢字漢字", 5, "…") == "漢字…"
    assert truncate("漢字", 2, "…") == "…"
    assert truncate("refused", 0, "…") == ""


@given(LINES, st.integers(0, 40))
def test_a_line_is_fitted_exactly(line: Line, cells: int) -> None:
    assert line_width(fit_line(line, cells, "…")) == cells


@given(LINES, LINES, st.integers(0, 40))
def test_two_lines_apart_are_one_of_that_width(one: Line, other: Line, cells: int) -> None:
    assert line_width(spread(one, other, cells, "…")) == cells


@given(TEXTS.map(printable_text), st.integers(2, 40))
def test_wrapping_loses_nothing_but_blanks_and_keeps_the_width(text: str, cells: int) -> None:
    lines = wrap(text, cells)

    assert all(cell_width(line) <= cells for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_words_stay_whole_where_they_can() -> None:
    assert wrap("is the SSH server running", 12) == ["is the SSH", "server", "running"]
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]
