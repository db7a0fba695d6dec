"""The columns fit into whatever width there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dashboard.sample_model import DEEP, ControllerHarness
from tunnelkeeper.dashboard.columns import (
    FLEXIBLE,
    LEFT_MARGIN,
    find_column,
    fit_columns,
    gap_before,
)
from tunnelkeeper.dashboard.table_rows import fit_list
from tunnelkeeper.dashboard.text_width import line_width

NATURAL = st.fixed_dictionaries({key: st.integers(0, 80) for key in FLEXIBLE})


@given(NATURAL, st.integers(30, 300))
def test_columns_never_take_more_than_the_screen(natural: dict[str, int], cells: int) -> None:
    columns = fit_columns(natural, cells)
    used = LEFT_MARGIN + sum(room for _, room in columns)
    used += sum(gap_before(column) for column, _ in columns[1:])

    assert used <= cells
    assert columns[0][0].key == "name"


@pytest.mark.parametrize(
    ("cells", "keys"),
    [
        (60, {"name", "since", "rtt", "in", "out"}),
        (120, {"name", "host", "forwards", "since", "rtt", "in", "out", "traffic", "failure"}),
        (200, {"name", "state", "host", "forwards", "traffic", "open", "restarts", "failure"}),
    ],
)
def test_the_important_ones_are_there(cells: int, keys: set[str]) -> None:
    picture = ControllerHarness().draw(cells)

    assert keys <= {column.key for column, _ in picture.columns}


def test_a_wide_screen_shows_texts_whole_and_longer_curves() -> None:
    columns = {column.key: room for column, room in ControllerHarness().draw(200).columns}

    assert columns["host"] == len("me@relay via one@b1, two@b2:2200")
    assert columns["traffic"] > 8


def test_every_row_is_as_wide_as_the_screen() -> None:
    for cells in (60, 80, 120, 200):
        assert {line_width(line) for line in ControllerHarness().draw(cells).body} == {cells}


def test_a_title_is_found_under_the_mouse() -> None:
    picture = ControllerHarness().draw(120)
    titles = "".join(text for _, text in picture.body[1])
    for column, _ in picture.columns:
        found = find_column(picture.columns, titles.index(column.title))
        assert found is not None
        assert found.key == column.key
    assert find_column(picture.columns, 119) is None or picture.columns[-1][0].key == "failure"


def test_of_many_forwards_those_that_fit_are_shown_and_the_rest_counted() -> None:
    texts = ("L 80 → a:80", "S 1080", "R 22 → b:22")

    assert fit_list(texts, 60) == "L 80 → a:80, S 1080, R 22 → b:22"
    assert fit_list(texts, 25) == "L 80 → a:80, S 1080 +1"
    assert fit_list(texts, 14) == "L 80 → a:80 +2"
    assert fit_list(texts, 9) == "L 80 → +2"
    assert fit_list((), 9) == ""


@pytest.mark.parametrize(
    ("cells", "host"),
    [(200, "me@relay via one@b1, two@b2:2200"), (122, "relay via b1, b2:2200"), (70, "relay +2")],
)
def test_a_way_that_is_too_long_says_less_but_never_half(cells: int, host: str) -> None:
    [row] = [line for line in ControllerHarness(DEEP).lines(cells) if " deep " in line]

    assert f" {host} " in row
