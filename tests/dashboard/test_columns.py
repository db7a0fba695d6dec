"""The columns of the table at any screen width."""

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

PREFERRED = st.fixed_dictionaries({key: st.integers(0, 80) for key in FLEXIBLE})


@given(PREFERRED, st.integers(30, 300))
def test_columns_are_never_wider_than_the_screen(preferred: dict[str, int], cells: int) -> None:
    columns = fit_columns(preferred, cells)
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
def test_a_screen_shows_the_important_columns(cells: int, keys: set[str]) -> None:
    screen = ControllerHarness().draw(cells)

    assert keys <= {column.key for column, _ in screen.columns}


def test_a_wide_screen_shows_full_texts_and_more_traffic() -> None:
    columns = {column.key: room for column, room in ControllerHarness().draw(200).columns}

    assert columns["host"] == len("me@relay via one@b1, two@b2:2200")
    assert columns["traffic"] > 8


def test_every_row_is_as_wide_as_the_screen() -> None:
    for cells in (60, 80, 120, 200):
        assert {line_width(line) for line in ControllerHarness().draw(cells).body} == {cells}


def test_a_click_on_a_title_finds_its_column() -> None:
    screen = ControllerHarness().draw(120)
    titles = "".join(text for _, text in screen.body[1])
    for column, _ in screen.columns:
        found = find_column(screen.columns, titles.index(column.title))
        assert found is not None
        assert found.key == column.key
    assert find_column(screen.columns, 119) is None or screen.columns[-1][0].key == "failure"


def test_forwards_that_do_not_fit_are_counted() -> None:
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
def test_a_long_host_chain_is_shortened_but_never_cut(cells: int, host: str) -> None:
    [row] = [line for line in ControllerHarness(DEEP).lines(cells) if " deep " in line]

    assert f" {host} " in row
