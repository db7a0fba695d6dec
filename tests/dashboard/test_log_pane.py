"""The log pane: marks of warnings, hints, records that are cut, and notes instead of a log."""

from __future__ import annotations

import pytest

from tests.control.fakes import NOON, a_tunnel
from tests.dashboard.sample_model import NOW, ControllerHarness, text_of
from tunnelkeeper.core.snapshot import LogRecord
from tunnelkeeper.dashboard.glyphs import ASCII, UNICODE, Glyphs
from tunnelkeeper.dashboard.log_pane import render_notes, render_record


def lines_of_record(record: LogRecord, cells: int, glyphs: Glyphs = UNICODE) -> list[str]:
    return [text_of(line) for line in render_record(record, NOW, cells, glyphs, with_name=True)]


@pytest.mark.parametrize(
    ("level", "mark"), [("info", " "), ("warning", "!"), ("error", "✖"), ("debug", " ")]
)
def test_warnings_and_errors_have_a_mark(level: str, mark: str) -> None:
    record = LogRecord(NOON, level, "db", "up")  # type: ignore[arg-type]

    assert lines_of_record(record, 80) == [f"12:00:00 {mark} db: up"]
    assert lines_of_record(record, 80, ASCII)[0].isascii()


def test_a_hint_is_beside_a_short_message_and_below_a_long_one() -> None:
    record = LogRecord(NOON, "warning", "db", "refused", "is sshd running?")

    assert lines_of_record(record, 80) == ["12:00:00 ! db: refused  hint: is sshd running?"]
    assert lines_of_record(record, 32) == [
        "12:00:00 ! db: refused",
        "           hint: is sshd",
        "                 running?",
    ]


def test_a_record_that_does_not_fit_is_cut_at_its_end() -> None:
    harness = ControllerHarness(*(a_tunnel(f"t{number}") for number in range(30)))
    harness.model.on_logs(
        [LogRecord(NOON, "info", "", f"first {'word ' * 80}"), LogRecord(NOON, "info", "", "last")]
    )
    log = [text_of(line).rstrip() for line in harness.draw(80, 24).log]

    assert log[1].startswith(" 12:00:00   first word")
    assert log[-2].endswith("…")
    assert log[-1] == " 12:00:00   last"


def test_notes_are_wrapped_and_their_title_says_how_many_lines_are_hidden() -> None:
    notes = ("Try these:", "  local   curl http://127.0.0.1:8080/a/long/path")
    lines = [text_of(line).rstrip() for line in render_notes(notes, 40, 4, UNICODE)]

    assert lines[1:] == [
        " Try these:",
        "   local   curl",
        "     http://127.0.0.1:8080/a/long/path",
    ]
    assert "2 of 3 lines" in text_of(render_notes(notes, 40, 3, UNICODE)[0])
