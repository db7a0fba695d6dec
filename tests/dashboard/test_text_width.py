"""Text from outside takes exactly as many cells as computed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcwidth

from tunnelkeeper.dashboard.text_width import (
    Line,
    align_left,
    align_right,
    fit_line,
    line_width,
    printable_text,
    shorten,
    spread,
    truncate,
    truncate_middle,
    wrap,
)
from tunnelkeeper.presentation.text_layout import cell_width

TEXTS = st.text(max_size=60)
LINES = st.lists(st.tuples(st.just(""), TEXTS.map(printable_text)), max_size=5)


@given(TEXTS)
def test_printable_text_has_no_control_characters_and_no_zero_width_ones(text: str) -> None:
    printable = printable_text(text)

    assert printable.isprintable()
    assert all(wcwidth(character) > 0 for character in printable)
    assert cell_width(printable) == sum(wcwidth(character) for character in printable)


def test_an_escape_sequence_is_escaped() -> None:
    assert printable_text("\x1b[2Jgone\n\u202e") == "\\x1b[2Jgone\\n\\u202e"


def test_an_accent_is_composed_with_its_letter_or_dropped() -> None:
    assert printable_text("e\u0301") == "é"
    assert printable_text("x\u0301\u0302\ufe0f") == "x"


@given(TEXTS.map(printable_text), st.integers(0, 70))
def test_a_text_is_truncated_and_padded_to_its_width(text: str, cells: int) -> None:
    assert cell_width(truncate(text, cells, "…")) <= cells
    assert cell_width(align_left(text, cells, "…")) == cells
    assert cell_width(align_right(text, cells, "")) == cells


def test_a_truncated_text_ends_with_an_ellipsis() -> None:
    assert truncate("refused", 4, "…") == "ref…"
    assert truncate("漢字漢字", 5, "…") == "漢字…"
    assert truncate("漢字", 2, "…") == "…"
    assert truncate("refused", 0, "…") == ""


@given(TEXTS.map(printable_text), st.integers(0, 70))
def test_a_text_that_is_cut_in_the_middle_keeps_both_ends(text: str, cells: int) -> None:
    cut = truncate_middle(text, cells, "…")
    start, ellipsis, end = cut.partition("…")

    assert cell_width(cut) <= cells
    assert cut == text or "…" in text or (text.startswith(start) and text.endswith(end))
    assert cut == text or bool(ellipsis) == (cells > 0)


@given(st.lists(TEXTS.map(printable_text), max_size=5), st.integers(0, 40))
def test_shortened_texts_fit(texts: list[str], cells: int) -> None:
    shortened = shorten(texts, cells, "…")

    assert len(shortened) == len(texts)
    assert all(cell_width(text) <= cells for text in shortened)


def test_texts_are_cut_where_they_are_alike() -> None:
    assert shorten(["eu-db-primary", "eu-db-replica"], 9, "…") == ["eu-d…mary", "eu-d…lica"]
    assert shorten(["eu-one.example", "us-two.example"], 9, "…") == ["eu-one.e…", "us-two.e…"]
    assert shorten(["short", "production-database"], 9, "…") == ["short", "prod…base"]


@given(LINES, st.integers(0, 40))
def test_a_fitted_line_has_exactly_its_width(line: Line, cells: int) -> None:
    assert line_width(fit_line(line, cells, "…")) == cells


@given(LINES, LINES, st.integers(0, 40))
def test_two_lines_are_spread_over_exactly_the_width(left: Line, right: Line, cells: int) -> None:
    assert line_width(spread(left, right, cells, "…")) == cells


@given(TEXTS.map(printable_text), st.integers(2, 40))
def test_wrapping_drops_only_blanks_and_keeps_the_width(text: str, cells: int) -> None:
    lines = wrap(text, cells)

    assert all(cell_width(line) <= cells for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_wrapping_splits_only_words_that_are_too_long() -> None:
    assert wrap("is the SSH server running", 12) == ["is the SSH", "server", "running"]
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]


def test_wrapping_keeps_a_command_whole_if_a_line_has_room_for_it() -> None:
    assert wrap("see it with `ss -tlnp` there", 16) == ["see it with", "`ss -tlnp` there"]
    assert wrap("with `ss -tlnp` there", 8) == ["with `ss", "-tlnp`", "there"]
