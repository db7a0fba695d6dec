"""The cursor of the table: folding, marking, and where it is after a change."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.control.fakes import a_tunnel
from tests.dashboard.sample_model import ALL, AWAY, NOW, SUPERVISOR, ControllerHarness
from tunnelkeeper.control.payloads import RemovedEvent, TunnelEvent
from tunnelkeeper.core.snapshot import StatusSnapshot
from tunnelkeeper.dashboard.folding import FoldedGroup, tunnels_of
from tunnelkeeper.dashboard.glyphs import ASCII

KEYS = ("toggle_fold", "toggle_mark", "toggle_all_marks", "down", "up", "end", "top")


def folded_harness() -> ControllerHarness:
    """Return a table whose first row is the folded group of `db` and `away`."""
    harness = ControllerHarness()
    harness.controller.toggle_fold()
    return harness


def press(harness: ControllerHarness, key: str) -> None:
    moves = {"down": 1, "up": -1, "end": 100, "top": -100}
    if key in moves:
        harness.controller.move(moves[key])
    else:
        getattr(harness.controller.cursor, key)()


@given(st.lists(st.sampled_from(KEYS), max_size=12))
def test_the_cursor_is_always_on_a_row_of_the_table(keys: list[str]) -> None:
    harness = ControllerHarness()
    for key in keys:
        press(harness, key)
        row = harness.controller.cursor.row()
        assert row is not None
        assert harness.ui_state.selected in {tunnel.name for tunnel in tunnels_of(row)}
        group = row.name if isinstance(row, FoldedGroup) else None
        assert harness.ui_state.selected_group == group
        assert harness.controller.cursor.rows()[harness.ui_state.selected_row] == row


def test_space_folds_the_group_of_the_selected_tunnel_and_unfolds_it_again() -> None:
    harness = folded_harness()

    [row] = [line for line in harness.lines() if "▸ work" in line]
    assert "▸ work  2 tunnels  ↻ 1 backoff  ● 1 up" in row
    assert " away " not in "\n".join(harness.lines()[:10])
    harness.controller.toggle_fold()
    assert harness.draw().rows == tuple(tunnel.name for tunnel in ALL)
    assert harness.ui_state.selected == "db"


def test_the_bottom_line_has_no_keys_for_a_single_tunnel_on_a_folded_group() -> None:
    harness = folded_harness()
    keys = [hint.key for hint in harness.draw(300, 35).hints]

    assert keys[:4] == ["enter", "s", "x", "r"]
    assert not {"y", "i", "space"} & set(keys)
    harness.controller.move(1)
    assert {"y", "i"} <= {hint.key for hint in harness.draw(300, 35).hints}


def test_folding_without_a_group_changes_nothing_and_says_why() -> None:
    harness = ControllerHarness()
    harness.controller.select("deep")
    harness.controller.toggle_fold()

    assert harness.lines()[-1].strip() == "deep is in no group"
    assert harness.ui_state.folded == set()


def test_a_group_stays_folded_when_its_tunnels_change_and_after_a_reconnect() -> None:
    harness = folded_harness()
    harness.model.on_event(TunnelEvent(msgspec.structs.replace(AWAY, state="up")), 1001)
    assert "▸ work  2 tunnels  ● 2 up" in harness.text()
    harness.model.on_event(RemovedEvent("db"), 1002)
    assert "▸ work  1 tunnel  ● 1 up" in harness.text()
    assert harness.ui_state.selected_group == "work"
    harness.model.on_event(RemovedEvent("away"), 1003)
    assert "▸" not in harness.text()
    harness.model.on_status(StatusSnapshot(SUPERVISOR, list(ALL)), NOW.monotonic + 9)
    assert "▸ work  2 tunnels" in harness.text()


def test_going_to_a_tunnel_unfolds_its_group() -> None:
    harness = folded_harness()
    harness.controller.edit_command()
    harness.controller.on_text_accepted("go away")

    assert (harness.ui_state.selected, harness.ui_state.folded) == ("away", set())


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ("fold all", ["db", "deep", "half", "stuck", "spare"]),
        ("fold", ["db", "deep", "half", "stuck", "spare"]),
        ("fold work", ["db", "deep", "half", "stuck", "spare"]),
        ("unfold", [tunnel.name for tunnel in ALL]),
        ("unfold work", [tunnel.name for tunnel in ALL]),
    ],
)
def test_commands_fold_and_unfold(line: str, rows: list[str]) -> None:
    harness = folded_harness() if line.startswith("unfold") else ControllerHarness()
    harness.controller.edit_command()
    harness.controller.on_text_accepted(line)

    assert list(harness.draw().rows) == rows


def test_a_folded_group_is_marked_and_controlled_as_a_whole() -> None:
    harness = folded_harness()
    harness.controller.cursor.toggle_mark()
    assert harness.ui_state.marked == {"db", "away"}
    assert harness.lines()[4].startswith("▎▸ work")
    harness.controller.move(-1)
    harness.controller.cursor.toggle_mark()
    assert harness.ui_state.marked == set()
    harness.controller.move(-1)
    harness.controller.control_tunnels("stop")

    assert "stop 2 tunnels?" in harness.lines()[-1]


def test_enter_unfolds_a_group_and_opens_a_tunnel() -> None:
    harness = folded_harness()
    harness.controller.open_row()
    assert (harness.ui_state.folded, harness.ui_state.is_detail_open) == (set(), False)
    harness.controller.open_row()

    assert harness.ui_state.is_detail_open


def test_the_detail_pane_of_a_folded_group_lists_its_problems() -> None:
    harness = folded_harness()
    harness.controller.toggle_detail()
    text = harness.text()

    assert "work  1 tunnel with a problem" in text
    assert "↻ away  refused x3" in text


def test_the_log_of_a_folded_group_is_that_of_its_tunnels() -> None:
    harness = folded_harness()
    harness.controller.show_log("selected")

    assert "log of group work" in harness.text()
    assert "db: connecting" in harness.text()
    assert "hot" not in harness.text()


def test_every_row_of_200_tunnels_in_groups_is_as_wide_as_the_screen() -> None:
    tunnels = [a_tunnel(f"t{number}", groups=[f"g{number % 7}"]) for number in range(200)]
    harness = ControllerHarness(*tunnels, glyphs=ASCII)
    harness.controller.cursor.set_folded(None, is_folded=True)

    assert len(harness.draw().rows) == 7
    for width, height in ((60, 15), (80, 24), (120, 35)):
        assert {len(line) for line in harness.lines(width, height)} == {width}
    assert harness.text().isascii()


def test_a_filter_without_a_match_says_so_and_how_to_clear_it() -> None:
    harness = ControllerHarness()
    harness.controller.edit_filter()
    harness.controller.on_text_changed("xyz")

    assert "no tunnel matches 'xyz'" in harness.text()
    assert "Esc clears the filter" in harness.text()
    harness.controller.on_text_accepted("xyz")
    harness.controller.escape()
    assert "no tunnel matches" not in harness.text()
