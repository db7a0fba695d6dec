from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.presentation.text_layout import cell_width, cut_names, wrap_lines

NAMES = st.text(alphabet="abc-", min_size=1, max_size=30)


def test_wide_characters_take_two_cells_and_combining_ones_none() -> None:
    assert cell_width("abc") == 3
    assert cell_width("東京") == 4
    assert cell_width("e\N{COMBINING ACUTE ACCENT}") == 1


def test_the_tables_of_widths_are_not_imported_for_plain_text() -> None:
    code = (
        "import sys; from tunnelkeeper.presentation.text_layout import cell_width, cut_names; "
        "cell_width(cut_names(['a' * 9], 5)[0]); sys.exit('wcwidth' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_name_is_cut_in_the_middle() -> None:
    assert cut_names(["eu-west-1-production-db-replica-17"], 15) == ["eu-west…lica-17"]
    assert cut_names(["short", "eu-west-1-production-db-17"], 15)[0] == "short"


@pytest.mark.parametrize(
    "names",
    [
        ["production-database-1-primary", "production-database-2-primary"],
        ["production-a-0000000000000000", "production-b-0000000000000000"],
        ["0000000000000000-a-production", "0000000000000000-b-production"],
    ],
)
def test_the_cut_moves_away_from_where_names_differ(names: list[str]) -> None:
    assert len(set(cut_names(names, 22))) == len(names)


@given(st.lists(NAMES, min_size=1, max_size=8), st.integers(8, 24))
def test_no_name_is_wider_than_its_column_and_short_ones_are_whole(
    names: list[str], cells: int
) -> None:
    shown = cut_names(names, cells)

    assert all(len(name) <= cells for name in shown)
    assert [new for old, new in zip(names, shown, strict=True) if len(old) <= cells] == [
        name for name in names if len(name) <= cells
    ]


def test_a_text_is_wrapped_at_blanks_with_an_indent() -> None:
    text = "db: backoff: refused: me@relay:22: connection refused"

    assert wrap_lines([text], 30) == [
        "db: backoff: refused:",
        "    me@relay:22: connection",
        "    refused",
    ]
    assert wrap_lines([text], None) == [text]


@pytest.mark.parametrize(
    "token",
    ["3m 12s", "3 h", "2026-11-22 11:04", "`tunnelkeeper unlock db`", "L 5432 -> db:5432"],
)
def test_times_commands_and_named_tokens_are_not_broken(token: str) -> None:
    for cells in range(10, 60):
        lines = wrap_lines([f"one two {token} three four"], cells, ["L 5432 -> db:5432"])

        assert any(token in line for line in lines)


@given(st.lists(st.text(alphabet="abc:@.", min_size=1, max_size=50), min_size=1), st.integers(40))
def test_no_line_is_too_wide_but_one_with_a_single_word(words: list[str], cells: int) -> None:
    lines = wrap_lines([" ".join(words)], cells)

    assert " ".join(lines).split() == words
    assert all(len(line) <= cells or len(line.split()) == 1 for line in lines)
