"""What keys, clicks and commands do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import NOON, a_tunnel
from tests.dashboard.boards import ALL, NOW, DeskAlone
from tunnelkeeper.control.payloads import LogEvent, RemovedEvent
from tunnelkeeper.core.snapshot import LogRecord
from tunnelkeeper.dashboard.controller import MESSAGE_STAYS
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
    from tunnelkeeper.dashboard.command_parser import Verb


def asked(alone: DeskAlone) -> list[tuple[str, tuple[str, ...]]]:
    return [(deed.method, deed.names) for deed in alone.deeds if isinstance(deed, TunnelAction)]


# -- moving ----------------------------------------------------------------------------------------


def test_the_cursor_moves_and_stops_at_the_ends() -> None:
    alone = DeskAlone()
    assert alone.view.selected == "db"
    alone.desk.move(2)
    assert alone.view.selected == "half"
    alone.desk.move(100)
    assert alone.view.selected == "spare"
    alone.desk.move(-100)
    assert alone.view.selected == "db"


def test_the_cursor_stays_with_its_tunnel_and_its_place_when_that_goes() -> None:
    alone = DeskAlone()
    alone.desk.choose("half")
    alone.desk.sort_by("name")
    alone.draw()
    assert alone.view.selected == "half"
    alone.board.on_event(RemovedEvent("half"), 1001)
    alone.draw()
    assert alone.view.selected == "spare"


def test_a_page_is_what_is_seen() -> None:
    alone = DeskAlone(*(a_tunnel(f"t{number}") for number in range(100)))
    seen = len(alone.draw().rows)
    alone.desk.turn_page(1)

    assert alone.view.selected == f"t{seen - 1}"


def test_help_scrolls_and_goes_away() -> None:
    alone = DeskAlone()
    alone.desk.help()
    assert "restart the tunnel" in alone.text()
    alone.desk.move(1000)
    assert "The mouse chooses" in alone.text(80, 24)
    alone.desk.escape()
    assert isinstance(alone.view.mode, Browsing)


# -- acting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_one_tunnel_is_acted_on_at_once(verb: Verb) -> None:
    alone = DeskAlone()
    alone.desk.act(verb)

    assert asked(alone) == [(verb, ("db",))]


def test_many_are_asked_about_first() -> None:
    alone = DeskAlone()
    alone.desk.mark_all()
    alone.desk.act("stop")
    assert alone.deeds == []
    assert "stop 6 tunnels?" in alone.screen()[-1]
    alone.desk.decide(yes=True)

    assert asked(alone) == [("stop", tuple(tunnel.name for tunnel in ALL))]
    assert alone.view.marked == set()


def test_no_means_no() -> None:
    alone = DeskAlone()
    alone.desk.mark_all()
    alone.desk.act("restart")
    alone.desk.decide(yes=False)

    assert alone.deeds == []
    assert isinstance(alone.view.mode, Browsing)


def test_marks_are_set_one_by_one_and_all_that_are_shown() -> None:
    alone = DeskAlone()
    alone.desk.mark()
    alone.desk.mark()
    assert alone.view.marked == {"db", "deep"}
    alone.desk.type_filter()
    alone.desk.typed("state=backoff")
    alone.desk.entered("state=backoff")
    alone.desk.mark_all()
    assert alone.view.marked == {"away"}
    alone.desk.mark_all()
    assert alone.view.marked == set()


def test_a_retry_is_for_what_waits_and_breaks_no_connection() -> None:
    alone = DeskAlone()
    alone.desk.act("retry")
    assert alone.deeds == []
    assert "nothing waits" in alone.screen()[-1]
    alone.desk.choose("away")
    alone.desk.act("retry")

    assert asked(alone) == [("start", ("away",))]


def test_a_reload_is_asked_about() -> None:
    alone = DeskAlone()
    alone.desk.reload()
    assert isinstance(alone.view.mode, Confirming)
    alone.desk.decide(yes=True)

    assert alone.deeds == [Reload()]


def test_leaving_and_starting_a_supervisor_are_deeds() -> None:
    alone = DeskAlone()
    alone.desk.start_supervisor()
    alone.desk.quit()

    assert alone.deeds == [StartSupervisor(), Quit()]


# -- what is typed ---------------------------------------------------------------------------------


def test_a_filter_takes_effect_while_it_is_typed_and_escape_takes_it_back() -> None:
    alone = DeskAlone()
    alone.desk.type_filter()
    alone.desk.typed("awa")
    assert alone.draw().rows == ("away",)
    alone.desk.escape()
    assert len(alone.draw().rows) == len(ALL)


def test_an_entered_filter_stays_until_escape() -> None:
    alone = DeskAlone()
    alone.desk.type_filter()
    alone.desk.typed("group=work")
    alone.desk.entered("group=work")
    assert "2 of 6" in alone.text()
    assert "/group=work" in alone.text()
    alone.desk.escape()
    assert len(alone.draw().rows) == len(ALL)


def test_the_log_is_searched_and_what_is_found_stands_out() -> None:
    alone = DeskAlone()
    alone.desk.type_search()
    alone.desk.typed("HOT")
    picture = alone.draw()

    found = [fragment for line in picture.log for fragment in line]
    assert ("class:search", "hot") in found
    assert not any("connecting" in text for _, text in found)
    alone.desk.escape()
    assert alone.view.search == ""


@pytest.mark.parametrize(
    ("line", "deeds"),
    [
        ("restart deep", [("restart", ("deep",))]),
        ("stop", [("stop", ("db",))]),
        ("retry away", [("start", ("away",))]),
        ("start group=work", []),
    ],
)
def test_a_command_does_what_a_key_does(line: str, deeds: list[object]) -> None:
    alone = DeskAlone()
    alone.desk.type_command()
    alone.desk.entered(line)

    assert asked(alone) == deeds


def test_commands_change_the_view() -> None:
    alone = DeskAlone()
    for line in ("sort name", "filter state=up", "go deep", "log deep", "find conn"):
        alone.desk.type_command()
        alone.desk.entered(line)
    view = alone.view

    assert (view.sorting.key, view.filter.text, view.selected) == ("name", "state=up", "deep")
    assert (view.log_scope, view.search) == ("chosen", "conn")
    for line in ("log off", "help"):
        alone.desk.type_command()
        alone.desk.entered(line)
    assert view.log_scope == "off"
    assert isinstance(view.mode, Reading)


def test_what_is_no_command_is_told() -> None:
    alone = DeskAlone()
    alone.desk.type_command()
    assert alone.view.mode == Typing("command")
    alone.desk.entered("explode")

    assert "no command 'explode'" in alone.screen()[-1]


# -- panes -----------------------------------------------------------------------------------------


def test_the_log_goes_from_all_to_the_chosen_one_to_none() -> None:
    alone = DeskAlone()
    assert "hot" in alone.text()
    alone.desk.cycle_log()
    assert "log of db" in alone.text()
    assert "hot" not in alone.text()
    alone.desk.cycle_log()
    assert alone.draw().log == []
    alone.desk.cycle_log()
    assert "hot" in alone.text()


def test_notes_are_one_more_pane() -> None:
    alone = DeskAlone()
    alone.view.notes, alone.view.log_scope = ("curl http://here/",), "notes"
    assert "curl http://here/" in alone.text()
    alone.desk.cycle_log()
    assert "hot" in alone.text()


def test_the_log_scrolls_back_and_follows_again() -> None:
    alone = DeskAlone()
    for number in range(50):
        alone.board.on_event(LogEvent(LogRecord(NOON, "info", "db", f"line {number}.")), 1001)
    assert "line 49." in alone.text()
    alone.desk.scroll_log(10)
    assert "line 49." not in alone.text()
    assert "line 39." in alone.text()
    assert "10 back" in alone.text()
    alone.desk.scroll_log(-100)
    assert "line 49." in alone.text()


def test_the_log_of_the_chosen_one_is_recalled_once() -> None:
    alone = DeskAlone()
    alone.desk.toggle_detail()
    assert alone.deeds == [FetchLog("db")]
    alone.board.set_tunnel_records("db", [LogRecord(NOON, "info", "db", "from long ago")])
    alone.desk.toggle_detail()
    alone.desk.toggle_detail()

    assert alone.deeds == [FetchLog("db")]
    assert "from long ago" in alone.text()


# -- messages --------------------------------------------------------------------------------------


def test_a_message_stays_until_a_key_or_a_while() -> None:
    alone = DeskAlone()
    alone.desk.answer("stop db: done")
    assert alone.screen()[-1].strip() == "stop db: done"
    alone.desk.hush()
    assert "quit" in alone.screen()[-1]

    alone.desk.answer("stop db: done")
    alone.draw()
    alone.desk.draw(Moment(NOW.wall, NOW.monotonic + MESSAGE_STAYS + 1), 120, 35)
    assert "quit" in alone.screen()[-1]


def test_problems_of_a_config_file_have_a_page() -> None:
    alone = DeskAlone()
    alone.desk.answer("nothing was changed", "tunnels.toml:5: unknown key", bad=True)

    assert "tunnels.toml:5: unknown key" in alone.text()
    assert "Esc back" in alone.screen()[-1]


def test_the_bar_shows_the_keys_that_apply() -> None:
    alone = DeskAlone()
    hints = {}
    for tunnel in ALL:
        alone.desk.choose(tunnel.name)
        hints[tunnel.name] = alone.screen()[-1]

    assert "x stop  r restart" in hints["db"]
    assert "w retry now" in hints["away"]
    assert "s start" in hints["spare"]
    assert "x stop" not in hints["spare"]
    alone.board.on_disconnect("gone", 1000)
    assert "u start a supervisor" in alone.screen()[-1]
