"""What `forward` shows: the log above a status line, lines, or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import NOON, REFUSED, a_tunnel
from tunnelkeeper.cli.forward_view import ForwardView, JsonView, TerminalView, view_for
from tunnelkeeper.core.snapshot import LogRecord

if TYPE_CHECKING:
    from collections.abc import Callable

LOST = LogRecord(NOON, "warning", "relay", "lost: connection lost", "is the server there?")
BLOCKED = LogRecord(NOON, "error", "relay", "blocked: auth: permission denied")
ASKED = LogRecord(NOON, "info", "relay", "waits for an answer: the private key /k: locked")
DEBUG = LogRecord(NOON, "debug", "relay", "details")
UP = a_tunnel("relay")
AWAY = a_tunnel("relay", "backoff", failure=REFUSED)


@pytest.fixture
def set_width(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def set_width(columns: int) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))

    monkeypatch.setenv("NO_COLOR", "1")
    return set_width


def test_without_a_terminal_each_record_is_a_line_as_in_logs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = ForwardView()
    view.on_tunnel(UP)
    view.on_record(DEBUG)
    view.on_record(LOST)
    view.close()

    text, hint = capsys.readouterr().out.splitlines()
    assert text.endswith("warning relay: lost: connection lost")
    assert hint.endswith("  hint: is the server there?")


def test_json_has_a_line_for_each_change_of_state(capsys: pytest.CaptureFixture[str]) -> None:
    view = JsonView()
    for tunnel in (UP, a_tunnel("relay", bytes_in=5), AWAY, UP):
        view.on_tunnel(tunnel)
    view.on_record(LOST)
    view.close()

    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["up", "backoff", "up"]


def test_the_status_line_is_drawn_again_below_the_log(
    capsys: pytest.CaptureFixture[str], set_width: Callable[[int], None]
) -> None:
    set_width(80)
    view = TerminalView(asks=True)
    view.on_tunnel(UP)
    view.on_record(LOST)
    view.on_tunnel(AWAY)
    view.close()

    lines = [part.split("\r\x1b[K")[-1] for part in capsys.readouterr().out.split("\n")]
    assert lines[0] == "  127.0.0.1:5432 -> db.internal:5432"
    assert lines[1][8:] == " lost: connection lost"
    assert lines[2] == "           hint: is the server there?"
    assert lines[3:] == [""]  # nothing of the status line stays


def test_a_line_that_does_not_fit_is_cut_or_wrapped(
    capsys: pytest.CaptureFixture[str], set_width: Callable[[int], None]
) -> None:
    set_width(24)
    view = TerminalView(asks=True)
    view.on_tunnel(UP)
    view.on_record(LOST)
    view.close()

    parts = capsys.readouterr().out.replace("\r\x1b[K", "\n").split("\n")
    assert max(len(part) for part in parts if "|" in part) <= 23
    assert all(len(part) <= 24 for part in parts[3:])


def test_an_error_before_the_tunnel_was_up_is_left_to_the_end_of_the_command(
    capsys: pytest.CaptureFixture[str], set_width: Callable[[int], None]
) -> None:
    set_width(80)
    view = TerminalView(asks=True)
    view.on_record(BLOCKED)
    view.on_tunnel(UP)
    view.on_record(BLOCKED)
    view.close()

    assert capsys.readouterr().out.count("permission denied") == 1


def test_nothing_is_drawn_while_a_question_is_asked(
    capsys: pytest.CaptureFixture[str], set_width: Callable[[int], None]
) -> None:
    set_width(80)
    view = TerminalView(asks=True)
    view.on_tunnel(UP)
    with view.paused():
        before = capsys.readouterr().out
        view.on_tunnel(AWAY)
        view.on_record(LOST)
        assert capsys.readouterr().out == ""
    view.close()

    assert before.endswith("\r\x1b[K")
    assert "lost: connection lost" in capsys.readouterr().out


@pytest.mark.parametrize(("as_json", "kind"), [(True, JsonView), (False, ForwardView)])
def test_a_pipe_gets_no_status_line(as_json: bool, kind: type[ForwardView]) -> None:
    assert type(view_for({"TERM": "xterm"}, as_json=as_json, asks=True)) is kind


@pytest.mark.parametrize("asks", [True, False])
def test_what_is_asked_on_the_terminal_is_not_logged_there_too(
    capsys: pytest.CaptureFixture[str], set_width: Callable[[int], None], asks: bool
) -> None:
    set_width(80)
    view = TerminalView(asks=asks)
    view.on_record(ASKED)
    view.close()

    assert ("waits for an answer" in capsys.readouterr().out) != asks
