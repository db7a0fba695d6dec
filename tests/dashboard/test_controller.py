"""The controller: navigation, actions, text input, panes and messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import NOON, a_tunnel
from tests.dashboard.sample_model import ALL, NOW, ControllerHarness
from tunnelkeeper.control.payloads import LogEvent, RemovedEvent
from tunnelkeeper.core.snapshot import LogRecord
from tunnelkeeper.dashboard.controller import MESSAGE_TIMEOUT
from tunnelkeeper.dashboard.ui_state import (
    Browsing,
    Confirming,
    FetchLog,
    Moment,
    Quit,
    Reading,
    Reload,
    StartSupervisor,
    TunnelAction,
    Typing,
)

if TYPE_CHECKING:
    from tunnelkeeper.dashboard.command_parser import TunnelVerb


def tunnel_actions(harness: ControllerHarness) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (action.method, action.names)
        for action in harness.actions
        if isinstance(action, TunnelAction)
    ]


# -- navigation ------------------------------------------------------------------------------------


def test_the_cursor_stops_at_both_ends() -> None:
    harness = ControllerHarness()
    assert harness.ui_state.selected == "db"
    harness.controller.move(2)
    assert harness.ui_state.selected == "half"
    harness.controller.move(100)
    assert harness.ui_state.selected == "spare"
    harness.controller.move(-100)
    assert harness.ui_state.selected == "db"


def test_the_cursor_follows_its_tunnel_and_keeps_its_row_when_the_tunnel_is_removed() -> None:
    harness = ControllerHarness()
    harness.controller.select("half")
    harness.controller.sort_by("name")
    harness.draw()
    assert harness.ui_state.selected == "half"
    harness.model.on_event(RemovedEvent("half"), 1001)
    harness.draw()
    assert harness.ui_state.selected == "spare"


def test_a_page_is_as_long_as_the_visible_rows() -> None:
    harness = ControllerHarness(*(a_tunnel(f"t{number}") for number in range(100)))
    seen = len(harness.draw().rows)
    harness.controller.move_pages(1)

    assert harness.ui_state.selected == f"t{seen - 1}"


def test_help_scrolls_and_closes() -> None:
    harness = ControllerHarness()
    harness.controller.show_help()
    assert "restart gracefully" in harness.text()
    harness.controller.move(1000)
    assert "The mouse selects" in harness.text(80, 24)
    harness.controller.escape()
    assert isinstance(harness.ui_state.mode, Browsing)


# -- actions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_an_action_on_one_tunnel_runs_at_once(verb: TunnelVerb) -> None:
    harness = ControllerHarness()
    harness.controller.control_tunnels(verb)

    assert tunnel_actions(harness) == [(verb, ("db",))]


def test_an_action_on_several_tunnels_needs_confirmation() -> None:
    harness = ControllerHarness()
    harness.controller.cursor.toggle_all_marks()
    harness.controller.control_tunnels("stop")
    assert harness.actions == []
    assert "stop 6 tunnels?" in harness.lines()[-1]
    harness.controller.confirm(yes=True)

    assert tunnel_actions(harness) == [("stop", tuple(tunnel.name for tunnel in ALL))]
    assert harness.ui_state.marked == set()


def test_no_cancels_the_action() -> None:
    harness = ControllerHarness()
    harness.controller.cursor.toggle_all_marks()
    harness.controller.control_tunnels("restart")
    harness.controller.confirm(yes=False)

    assert harness.actions == []
    assert isinstance(harness.ui_state.mode, Browsing)


def test_marks_are_set_for_one_tunnel_or_for_all_visible_ones() -> None:
    harness = ControllerHarness()
    harness.controller.cursor.toggle_mark()
    harness.controller.cursor.toggle_mark()
    assert harness.ui_state.marked == {"db", "deep"}
    harness.controller.edit_filter()
    harness.controller.on_text_changed("state=backoff")
    harness.controller.on_text_accepted("state=backoff")
    harness.controller.cursor.toggle_all_marks()
    assert harness.ui_state.marked == {"away"}
    harness.controller.cursor.toggle_all_marks()
    assert harness.ui_state.marked == set()


def test_a_retry_only_starts_tunnels_that_wait() -> None:
    harness = ControllerHarness()
    harness.controller.control_tunnels("retry")
    assert harness.actions == []
    assert "no tunnel is waiting to retry" in harness.lines()[-1]
    harness.controller.select("away")
    harness.controller.control_tunnels("retry")

    assert tunnel_actions(harness) == [("start", ("away",))]


def test_a_reload_needs_confirmation() -> None:
    harness = ControllerHarness()
    harness.controller.ask_to_reload()
    assert isinstance(harness.ui_state.mode, Confirming)
    harness.controller.confirm(yes=True)

    assert harness.actions == [Reload()]


def test_quitting_and_starting_a_supervisor_are_actions() -> None:
    harness = ControllerHarness()
    harness.controller.start_supervisor()
    harness.controller.quit()

    assert harness.actions == [StartSupervisor(), Quit()]


# -- text input ------------------------------------------------------------------------------------


def test_a_filter_takes_effect_as_it_is_typed_and_escape_undoes_it() -> None:
    harness = ControllerHarness()
    harness.controller.edit_filter()
    harness.controller.on_text_changed("awa")
    assert harness.draw().rows == ("away",)
    harness.controller.escape()
    assert len(harness.draw().rows) == len(ALL)


def test_an_accepted_filter_stays_until_escape() -> None:
    harness = ControllerHarness()
    harness.controller.edit_filter()
    harness.controller.on_text_changed("group=work")
    harness.controller.on_text_accepted("group=work")
    assert "2 of 6" in harness.text()
    assert "/group=work" in harness.text()
    harness.controller.escape()
    assert len(harness.draw().rows) == len(ALL)


def test_a_search_hides_other_log_lines_and_highlights_matches() -> None:
    harness = ControllerHarness()
    harness.controller.edit_search()
    harness.controller.on_text_changed("HOT")
    screen = harness.draw()

    fragments = [fragment for line in screen.log for fragment in line]
    assert ("class:search", "hot") in fragments
    assert not any("connecting" in text for _, text in fragments)
    harness.controller.escape()
    assert harness.ui_state.search == ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("restart deep", [("restart", ("deep",))]),
        ("stop", [("stop", ("db",))]),
        ("retry away", [("start", ("away",))]),
        ("start group=work", []),
    ],
)
def test_a_command_runs_the_same_action_as_a_key(line: str, expected: list[object]) -> None:
    harness = ControllerHarness()
    harness.controller.edit_command()
    harness.controller.on_text_accepted(line)

    assert tunnel_actions(harness) == expected


def test_commands_change_the_ui_state() -> None:
    harness = ControllerHarness()
    for line in ("sort name", "filter state=up", "go deep", "log deep", "find conn"):
        harness.controller.edit_command()
        harness.controller.on_text_accepted(line)
    ui_state = harness.ui_state

    assert (ui_state.sorting.key, ui_state.filter.text, ui_state.selected) == (
        "name",
        "state=up",
        "deep",
    )
    assert (ui_state.log_scope, ui_state.search) == ("selected", "conn")
    for line in ("log off", "help"):
        harness.controller.edit_command()
        harness.controller.on_text_accepted(line)
    assert ui_state.log_scope == "off"
    assert isinstance(ui_state.mode, Reading)


def test_an_invalid_command_shows_an_error() -> None:
    harness = ControllerHarness()
    harness.controller.edit_command()
    assert harness.ui_state.mode == Typing("command")
    harness.controller.on_text_accepted("explode")

    assert "no such command 'explode'" in harness.lines()[-1]


# -- panes -----------------------------------------------------------------------------------------


def test_the_log_cycles_from_all_tunnels_to_the_selected_one_to_none() -> None:
    harness = ControllerHarness()
    assert "hot" in harness.text()
    harness.controller.cycle_log()
    assert "log of db" in harness.text()
    assert "hot" not in harness.text()
    harness.controller.cycle_log()
    assert harness.draw().log == []
    harness.controller.cycle_log()
    assert "hot" in harness.text()


def test_notes_are_part_of_the_log_cycle() -> None:
    harness = ControllerHarness()
    harness.ui_state.notes, harness.ui_state.log_scope = ("curl http://here/",), "notes"
    assert "curl http://here/" in harness.text()
    harness.controller.cycle_log()
    assert "hot" in harness.text()


def test_the_log_scrolls_back_and_forward() -> None:
    harness = ControllerHarness()
    for number in range(50):
        harness.model.on_event(LogEvent(LogRecord(NOON, "info", "db", f"line {number}.")), 1001)
    assert "line 49." in harness.text()
    harness.controller.scroll_log(10)
    assert "line 49." not in harness.text()
    assert "line 39." in harness.text()
    assert "10 back" in harness.text()
    harness.controller.scroll_log(-100)
    assert "line 49." in harness.text()


def test_the_log_of_the_selected_tunnel_is_fetched_once() -> None:
    harness = ControllerHarness()
    harness.controller.toggle_detail()
    assert harness.actions == [FetchLog("db")]
    harness.model.set_tunnel_records("db", [LogRecord(NOON, "info", "db", "from long ago")])
    harness.controller.toggle_detail()
    harness.controller.toggle_detail()

    assert harness.actions == [FetchLog("db")]
    assert "from long ago" in harness.text()


# -- messages --------------------------------------------------------------------------------------


def test_a_message_stays_until_a_key_or_its_timeout() -> None:
    harness = ControllerHarness()
    harness.controller.show_result("stop db: done")
    assert harness.lines()[-1].strip() == "stop db: done"
    harness.controller.clear_message()
    assert "quit" in harness.lines()[-1]

    harness.controller.show_result("stop db: done")
    harness.draw()
    harness.controller.draw(Moment(NOW.wall, NOW.monotonic + MESSAGE_TIMEOUT + 1), 120, 35)
    assert "quit" in harness.lines()[-1]


def test_problems_of_a_config_file_fill_a_page() -> None:
    harness = ControllerHarness()
    harness.controller.show_result(
        "nothing was changed",
        "tunnels.toml:5: unknown key",
        is_error=True,
        hint="did you mean 'local'?",
    )

    assert "tunnels.toml:5: unknown key" in harness.text()
    assert "hint: did you mean 'local'?" in harness.text()
    assert "Esc back" in harness.lines()[-1]


def test_the_status_bar_shows_the_keys_that_apply() -> None:
    harness = ControllerHarness()
    hints = {}
    for tunnel in ALL:
        harness.controller.select(tunnel.name)
        hints[tunnel.name] = harness.lines()[-1]

    assert "x stop  r restart" in hints["db"]
    assert "w retry now" in hints["away"]
    assert "s start" in hints["spare"]
    assert "x stop" not in hints["spare"]
    harness.model.on_disconnect("gone", 1000)
    assert "u start a supervisor" in harness.lines()[-1]
