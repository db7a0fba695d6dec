"""The columns of the table at any screen width."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.control.fakes import NOON, REFUSED, a_forward, a_tunnel
from tests.dashboard.sample_model import DB, DEEP, NOW, ControllerHarness, text_of
from tunnelkeeper.control.payloads import TunnelEvent
from tunnelkeeper.core.snapshot import FailureSnapshot, ProgressSnapshot
from tunnelkeeper.dashboard.columns import (
    COLUMNS,
    LEFT_MARGIN,
    MEMORY,
    Cell,
    RowTexts,
    find_column,
    fit_columns,
)
from tunnelkeeper.dashboard.glyphs import UNICODE
from tunnelkeeper.dashboard.table_rows import forward_forms
from tunnelkeeper.dashboard.text_width import line_width
from tunnelkeeper.dashboard.ui_state import Moment

TEXTS = ("name", "host", "forwards", "failure")
CELLS = st.lists(st.integers(0, 80), max_size=4).map(
    lambda widths: Cell("", tuple("x" * width for width in sorted(widths)))
)
ROWS = st.lists(
    st.fixed_dictionaries({column.key: CELLS for column in COLUMNS}).map(lambda c: RowTexts([], c)),
    max_size=5,
)


def keys_of(harness: ControllerHarness, cells: int) -> set[str]:
    return {column.key for column, _ in harness.draw(cells).columns}


def row_of(harness: ControllerHarness, name: str, cells: int) -> str:
    [row] = [line for line in harness.lines(cells) if f" {name} " in line]
    return row


@given(ROWS, st.integers(30, 300))
def test_columns_are_never_wider_than_the_screen(rows: list[RowTexts], cells: int) -> None:
    columns = fit_columns(rows, cells)
    used = LEFT_MARGIN + sum(room for _, room in columns)
    used += sum(column.gap for column, _ in columns[1:])

    assert used <= cells
    assert columns[0][0].key == "name"


@given(ROWS, st.integers(40, 300))
def test_forwards_stay_on_the_screen_and_empty_columns_do_not(
    rows: list[RowTexts], cells: int
) -> None:
    filled = {key for row in rows for key, cell in row.cells.items() if any(cell.forms)}
    shown = {column.key for column, _ in fit_columns(rows, cells)}

    assert shown <= filled | {"name"}
    assert ("forwards" in shown) == ("forwards" in filled)


@given(ROWS, st.integers(40, 300))
def test_a_wider_screen_cuts_no_text_that_a_narrower_one_shows(
    rows: list[RowTexts], cells: int
) -> None:
    narrow = {column.key: width for column, width in fit_columns(rows, cells)}
    wide = {column.key: width for column, width in fit_columns(rows, 1000)}
    longest = {key: max(row.cells[key].width(-1) for row in rows) for key in TEXTS if rows}

    assert narrow.keys() <= wide.keys()
    assert all(wide[key] >= longest[key] for key in wide.keys() & longest.keys())


@pytest.mark.parametrize(
    ("cells", "keys"),
    [
        (40, {"name", "forwards"}),
        (60, {"name", "forwards", "failure"}),
        (80, {"name", "host", "forwards", "failure"}),
        (120, {"name", "host", "forwards", "since", "in", "out", "rtt", "failure"}),
        (200, {"name", "state", "host", "forwards", "traffic", "open", "restarts", "failure"}),
    ],
)
def test_columns_give_way_in_the_order_of_their_importance(cells: int, keys: set[str]) -> None:
    busy = msgspec.structs.replace(
        DB, name="busy", bytes_in=1, connections_total=1, restarts=2, failure=None
    )
    stuck = a_tunnel(
        "stuck", "blocked", failure=FailureSnapshot("host_key_changed", "", "new key", "", NOON)
    )

    assert keys <= keys_of(ControllerHarness(busy, DEEP, stuck), cells)


def test_a_column_without_news_takes_no_space() -> None:
    harness = ControllerHarness(a_tunnel("db", rtt_ms=None))

    assert keys_of(harness, 200) == {"name", "state", "host", "forwards", "since"}


def test_the_widths_follow_the_rows_on_the_screen() -> None:
    harness = ControllerHarness(
        *(a_tunnel(f"t{number}") for number in range(60)), a_tunnel("the-longest-name-of-all")
    )
    first = harness.draw().columns[0][1]
    harness.controller.move(60)

    assert first < harness.draw().columns[0][1] == len("the-longest-name-of-all")


def test_columns_keep_their_widths_while_a_tunnel_reconnects() -> None:
    failing = a_tunnel("away", "backoff", failure=REFUSED, attempt=2)
    harness = ControllerHarness(failing)
    before = harness.draw(80).columns
    connecting = msgspec.structs.replace(
        failing, state="connecting", progress=ProgressSnapshot("me@relay:22", "login")
    )
    harness.model.on_event(TunnelEvent(connecting), NOW.monotonic)

    assert harness.draw(80).columns == before

    harness.model.on_event(TunnelEvent(a_tunnel("away")), NOW.monotonic)
    later = Moment(NOW.wall, NOW.monotonic + MEMORY + 1)
    harness.controller.draw(later, 80, 24)
    assert "failure" not in keys_of(harness, 80)


def test_a_wide_screen_shows_full_texts_and_more_traffic() -> None:
    busy = msgspec.structs.replace(DEEP, bytes_in=1)
    columns = {column.key: room for column, room in ControllerHarness(busy).draw(200).columns}

    assert columns["host"] == len("me@relay via one@b1, two@b2:2200")
    assert columns["traffic"] > 8


def test_every_row_is_as_wide_as_the_screen() -> None:
    for cells in (60, 80, 120, 200):
        assert {line_width(line) for line in ControllerHarness().draw(cells).body} == {cells}


def test_a_click_on_a_title_finds_its_column() -> None:
    screen = ControllerHarness().draw(120)
    titles = text_of(screen.body[1])
    for column, _ in screen.columns:
        found = find_column(screen.columns, titles.index(column.title))
        assert found is not None
        assert found.key == column.key
    assert find_column(screen.columns, 119) is None or screen.columns[-1][0].key == "failure"


def test_forwards_have_shorter_forms_that_start_with_the_listeners() -> None:
    forwards = [
        a_forward(listen="127.0.0.1:80", connect="a:80"),
        a_forward(listen="127.0.0.1:81", connect="a:81"),
        a_forward(kind="socks", listen="127.0.0.1:1080", connect=None),
    ]

    assert forward_forms(forwards, UNICODE) == (
        "L 80 +2",
        "L 80, 81 +1",
        "L 80, 81, S 1080",
        "L 80 → a:80, L 81 → a:81, S 1080",
    )
    assert forward_forms(forwards[:1], UNICODE) == ("L 80", "L 80 → a:80")
    assert forward_forms([], UNICODE) == ()


@pytest.mark.parametrize(
    ("cells", "host"),
    [(200, "me@relay via one@b1, two@b2:2200"), (70, "me@relay +2"), (46, "relay +2")],
)
def test_a_long_host_chain_is_shortened_but_never_cut(cells: int, host: str) -> None:
    assert f" {host} " in row_of(ControllerHarness(DEEP), "deep", cells)


def test_either_all_hosts_have_users_or_none() -> None:
    long_user = a_tunnel("long", host="a-very-long-user-name@relay:22")
    harness = ControllerHarness(DB, long_user)

    assert " relay " in row_of(harness, "db", 60)
    assert " me@relay " in row_of(harness, "db", 120)


def test_long_names_that_begin_alike_are_cut_in_the_middle() -> None:
    harness = ControllerHarness(
        *(a_tunnel(f"production-eu-west-1-postgres-{end}") for end in ("primary", "replica"))
    )
    text = harness.text(60)

    assert "primary " in text
    assert "replica " in text
    assert "product" in text
