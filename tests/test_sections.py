"""Sections that programs write into pages, and the tables in them."""

from __future__ import annotations

import pytest

from docs.sections import markers, put_between
from docs.tables import aligned, markdown

BEGIN, END = markers("part")
HEAD = ("what", "how many")
ROWS = [("long words", "1"), ("x", "22")]


def test_a_section_takes_the_place_of_what_stood_between_its_markers() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"

    written = put_between(BEGIN, END, page, "new")

    assert written == "before\n<!-- part: begin -->\nnew\n<!-- part: end -->\nafter\n"
    assert put_between(BEGIN, END, written, "new") == written


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_a_page_without_its_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="expected <!-- part: begin --> and then"):
        put_between(BEGIN, END, page, "new")


def test_columns_are_aligned() -> None:
    rows = [("long", "1"), ("x", "2")]

    assert aligned(("a", "b"), rows) == "a     b\nlong  1\nx     2"


def test_columns_of_figures_stand_to_the_right_in_markdown() -> None:
    assert markdown(HEAD, ROWS, to_the_right=HEAD[1:]).splitlines() == [
        "| what | how many |",
        "| --- | ---: |",
        "| long words | 1 |",
        "| x | 22 |",
    ]
    assert markdown(HEAD, []).splitlines()[1] == "| --- | --- |"
