"""Text from outside takes as many cells as is reckoned, whatever it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcwidth

from tunnelkeeper.dashboard.text_width import (
    Line,
    apart,
    cut,
    fitted,
    left,
    line_width,
    right,
    safe,
    width,
    wrapped,
)

TEXTS = st.text(max_size=60)
LINES = st.lists(st.tuples(st.just(""), TEXTS.map(safe)), max_size=5)


@given(TEXTS)
def test_what_is_safe_has_no_control_and_no_character_without_a_cell(text: str) -> None:
    made = safe(text)

    assert made.isprintable()
    assert all(wcwidth(character) > 0 for character in made)
    assert width(made) == sum(wcwidth(character) for character in made)


def test_an_escape_sequence_is_shown_and_not_obeyed() -> None:
    assert safe("\x1b[2Jgone\n\u202e") == "\\x1b[2Jgone\\n\\u202e"


def test_an_accent_joins_its_letter_and_what_joins_none_is_left_out() -> None:
    assert safe("e\u0301") == "é"
    assert safe("x\u0301\u0302\ufe0f") == "x"


@given(TEXTS.map(safe), st.integers(0, 70))
def test_a_text_is_cut_and_filled_to_its_place(text: str, cells: int) -> None:
    assert width(cut(text, cells, "…")) <= cells
    assert width(left(text, cells, "…")) == cells
    assert width(right(text, cells, "")) == cells


def test_a_cut_text_says_so() -> None:
    assert cut("refused", 4, "…") == "ref…"
    assert cut("漢字漢字", 5, "…") == "漢字…"
    assert cut("漢字", 2, "…") == "…"
    assert cut("refused", 0, "…") == ""


@given(LINES, st.integers(0, 40))
def test_a_line_is_fitted_exactly(line: Line, cells: int) -> None:
    assert line_width(fitted(line, cells, "…")) == cells


@given(LINES, LINES, st.integers(0, 40))
def test_two_lines_apart_are_one_of_that_width(one: Line, other: Line, cells: int) -> None:
    assert line_width(apart(one, other, cells, "…")) == cells


@given(TEXTS.map(safe), st.integers(2, 40))
def test_wrapping_loses_nothing_but_blanks_and_keeps_the_width(text: str, cells: int) -> None:
    lines = wrapped(text, cells)

    assert all(width(line) <= cells for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_words_stay_whole_where_they_can() -> None:
    assert wrapped("is the SSH server running", 12) == ["is the SSH", "server", "running"]
    assert wrapped("abcdefgh", 3) == ["abc", "def", "gh"]
