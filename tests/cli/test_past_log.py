"""`logs` when no supervisor is running: the end of the log file or of the journal."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunnelkeeper import paths
from tunnelkeeper.cli import past_log
from tunnelkeeper.cli.past_log import parse_lines, read_end, read_rotated
from tunnelkeeper.control import log_files
from tunnelkeeper.core.snapshot import LogRecord
from tunnelkeeper.net.rotating_file import old_file
from tunnelkeeper.presentation.formatting import record_lines
from tunnelkeeper.systemd.journal import read_journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Tool

    WriteJournal = Callable[..., None]

TEXT = """\
2026-11-29T12:00:00+01:00 info    tunnelkeeper 0.1.0 holds tunnels.toml
2026-11-29T12:00:01+01:00 warning db: refused: connection refused
a line of another program
2026-11-29T12:00:02+01:00 info    web: up
"""
RECORD = (
    '{"at":"2026-11-29T11:00:03Z","level":"error","tunnel":"db","message":"lost",'
    '"hint":"start it"}\n'
)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteJournal:
    """Return a function that sets what a fake journalctl prints. At first: nothing."""
    programs, output = tmp_path / "programs", tmp_path / "journal"
    programs.mkdir()
    output.write_text("")
    (programs / "journalctl").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat {output}\n')
    (programs / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    def write(*entries: Any) -> None:
        output.write_text("".join(json.dumps(entry) + "\n" for entry in entries))

    return write


@pytest.fixture
def log_file(tool: Tool, journal: WriteJournal) -> Path:
    file = paths.log_path(os.environ)
    file.parent.mkdir(parents=True)
    file.write_text(TEXT)
    return file


def entry(seconds: int, message: object, priority: str = "6") -> dict[str, object]:
    microseconds = str((1_796_040_000 + seconds) * 1_000_000)  # 2026-11-30T12:00:00Z
    return {"__REALTIME_TIMESTAMP": microseconds, "PRIORITY": priority, "MESSAGE": message}


def test_the_end_of_the_log_file_is_shown(tool: Tool, log_file: Path) -> None:
    done = tool("logs", "-n", "2")

    assert done.code == 0
    assert done.out == "a line of another program\n2026-11-29T11:00:02Z info    web: up\n"
    assert done.err == f"no supervisor is running; this is the end of {log_file}:\n"


@pytest.mark.usefixtures("log_file", "central_europe")
def test_times_are_local_unless_utc_is_requested(tool: Tool) -> None:
    assert tool("logs", "-n", "1").out == "2026-11-29T12:00:02+01:00 info    web: up\n"
    assert tool("logs", "-n", "1", "--utc").out == "2026-11-29T11:00:02Z info    web: up\n"


@pytest.mark.usefixtures("log_file")
def test_a_name_selects_the_lines_of_a_tunnel(tool: Tool) -> None:
    assert tool("logs", "db").out == (
        "2026-11-29T11:00:01Z warning db: refused: connection refused\n"
    )
    assert tool("logs", "unknown").out == ""
    assert tool("logs", "d*", "unknown").out == tool("logs", "db").out


def test_a_json_log_is_read_and_printed(tool: Tool, log_file: Path) -> None:
    log_file.write_text(TEXT + RECORD)

    assert (
        tool("logs", "-n", "1").out == "2026-11-29T11:00:03Z error   db: lost\n"
        "2026-11-29T11:00:03Z error   db:   hint: start it\n"
    )
    assert tool("logs", "db", "-n", "1", "--json").out == RECORD


@pytest.mark.usefixtures("log_file")
def test_following_needs_a_supervisor(tool: Tool) -> None:
    done = tool("logs", "-f", "-n", "1")

    assert done.out == "2026-11-29T11:00:02Z info    web: up\n"
    assert ": no supervisor is running\n" in done.err
    assert done.code == 3


@pytest.mark.usefixtures("log_file")
def test_the_journal_is_shown_if_it_is_newer(
    tool: Tool, tmp_path: Path, journal: WriteJournal
) -> None:
    journal(
        entry(0, "tunnelkeeper 0.1.0 holds tunnels.toml"),
        entry(1, "db: refused: no", "4"),
        entry(2, "db:   hint: start sshd", "4"),
        entry(2, [100, 98, 58, 32, 255], "3"),
        entry(3, None, "7"),
        entry(4, RECORD.strip()),
        {"MESSAGE": "without a time"},
        ["not", "an", "entry"],
    )
    done = tool("logs")

    assert done.err == "no supervisor is running; this is the end of the journal:\n"
    assert done.out.splitlines() == [
        "2026-11-30T12:00:00Z info    tunnelkeeper 0.1.0 holds tunnels.toml",
        "2026-11-30T12:00:01Z warning db: refused: no",
        "2026-11-30T12:00:01Z warning db:   hint: start sshd",
        "2026-11-30T12:00:02Z error   db: \N{REPLACEMENT CHARACTER}",
        "2026-11-30T12:00:03Z debug   ",
        "2026-11-29T11:00:03Z error   db: lost",
        "2026-11-29T11:00:03Z error   db:   hint: start it",
    ]
    asked = (tmp_path / "asked").read_text()
    assert f"_UID={os.getuid()} SYSLOG_IDENTIFIER=tunnelkeeper" in asked


@pytest.mark.usefixtures("log_file")
def test_the_log_file_is_shown_if_it_is_newer(tool: Tool, journal: WriteJournal) -> None:
    journal(entry(-200_000, "long ago"))

    assert "the end of the journal" not in tool("logs").err


@pytest.mark.usefixtures("journal")
def test_without_any_log_the_command_fails(tool: Tool) -> None:
    done = tool("logs")

    assert (done.code, done.out) == (3, "")
    assert ": no supervisor is running\n" in done.err


def test_a_log_file_that_is_a_fifo_is_not_opened(
    tool: Tool, log_file: Path, journal: WriteJournal
) -> None:
    log_file.unlink()
    os.mkfifo(log_file)

    assert tool("logs").code == 3


LEVELS = ("debug", "info", "warning", "error")
PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)


@given(
    st.lists(
        st.builds(
            LogRecord,
            at=st.just("2026-11-29T11:00:03Z"),
            level=st.sampled_from(LEVELS),
            tunnel=st.sampled_from(["", "db", "hint"]),
            message=PRINTABLE.map(lambda text: f"refused: {text}"),
            hint=st.one_of(st.just(""), PRINTABLE),
        )
    )
)
def test_a_text_log_is_read_back_with_its_hints(records: list[LogRecord]) -> None:
    lines = [line for record in records for line in record_lines(record, utc=True)]

    read = parse_lines(lines)

    assert [record_lines(record, utc=True) for record in read] == [
        record_lines(record, utc=True) for record in records
    ]
    assert [record.hint for record in read] == [record.hint for record in records]


def test_a_hint_without_its_message_is_a_record_of_its_own() -> None:
    text = "2026-11-29T11:00:03Z error   db:   hint: ssh-add"
    above = "2026-11-29T11:00:03Z error   web: lost"

    for lines in ([text], [above, text], [text, text]):
        assert [record.hint for record in parse_lines(lines)] == [""] * len(lines)


def test_without_journalctl_there_is_no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    assert read_journal(10) == []


def test_only_the_end_of_a_large_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("first\nsecond\nthird\n")

    assert read_end(file, 10) == ["third"]


def test_the_lines_of_rotated_files_come_first(tmp_path: Path) -> None:
    file = tmp_path / "log"
    for number, text in enumerate(("5\n6\n", "3\n4\n", "1\n2\n")):
        old_file(file, number).write_text(text)

    assert read_rotated(file) == ["1", "2", "3", "4", "5", "6"]
    assert read_rotated(file, 7) == ["4", "5", "6"]
    assert read_rotated(file, 3) == ["6"]


def test_logs_reads_on_in_the_rotated_files(tool: Tool, log_file: Path) -> None:
    log_file.rename(old_file(log_file, 1))
    log_file.write_text("2026-11-29T12:00:03+01:00 info    web: down\n")

    assert tool("logs", "web").out == (
        "2026-11-29T11:00:02Z info    web: up\n2026-11-29T11:00:03Z info    web: down\n"
    )


def test_the_file_that_the_last_supervisor_of_this_socket_wrote_is_read(
    tool: Tool, log_file: Path
) -> None:
    other = log_file.with_name("tunnelkeeper-2.log")
    other.write_text("2026-11-29T11:00:00+01:00 info    web: of this socket\n")
    os.close(log_files.claim(log_file, tool.home / "other.sock"))
    os.close(log_files.claim(other, tool.socket))

    assert tool("logs", "-n", "1").out.endswith("of this socket\n")
    assert tool("--socket", str(tool.home / "other.sock"), "logs", "-n", "1").out.endswith(
        "web: up\n"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text() | st.from_regex(past_log._LINE, fullmatch=True)))
def test_any_lines_become_records(lines: list[str]) -> None:
    for record in parse_lines(lines):
        assert record.message or record.tunnel or record.at
