from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.control.fakes import NOON, RunningServer, a_tunnel
from tunnelkeeper.cli.logs import format_lines
from tunnelkeeper.control.payloads import LogEvent
from tunnelkeeper.core.snapshot import LogRecord

if TYPE_CHECKING:
    from tests.cli.conftest import Tool

UP = f"{NOON} info    db: up\n"
STARTED = f"{NOON} info    started\n"


@pytest.mark.usefixtures("server")
def test_the_newest_line_is_last(tool: Tool) -> None:
    assert tool("logs").out == UP + STARTED
    assert tool("logs", "-n", "1").out == STARTED
    assert tool("logs", "db").out == UP


def test_json_prints_one_record_per_line(tool: Tool, server: RunningServer) -> None:
    records = [json.loads(line) for line in tool("logs", "--json").out.splitlines()]

    assert records == msgspec.to_builtins(server.fake.records)


def test_following_continues_until_the_supervisor_exits(tool: Tool, server: RunningServer) -> None:
    server.publish(
        LogEvent(LogRecord(NOON, "warning", "db", "lost")),
        LogEvent(LogRecord(NOON, "info", "web", "up")),
        after_subscription=True,
        then_shut_down=True,
    )
    done = tool("logs", "db", "-f", "-n", "0")

    assert done.out == f"{NOON} warning db: lost\n"
    assert done.code == 3


def test_lines_of_several_tunnels_are_printed_in_their_order(
    tool: Tool, server: RunningServer
) -> None:
    server.fake.tunnels = {name: a_tunnel(name) for name in ("eu-1", "eu-2", "us")}
    server.fake.records = [
        LogRecord(NOON, "info", name, str(number))
        for number, name in enumerate(["eu-1", "us", "eu-2", "", "eu-1", "eu-2"])
    ]

    def lines(*arguments: str) -> list[str]:
        return [
            line.rpartition("  ")[2].strip() for line in tool("logs", *arguments).out.splitlines()
        ]

    assert lines("eu-*") == ["eu-1: 0", "eu-2: 2", "eu-1: 4", "eu-2: 5"]
    assert lines("us", "eu-2", "-n", "2") == ["eu-2: 2", "eu-2: 5"]
    assert lines("u*") == ["us: 1"]
    assert tool("logs", "us", "nope").code == 4
    assert tool("logs", "nope*").err == (
        "tunnelkeeper: no tunnel matches 'nope*'\n  hint: tunnelkeeper status\n"
    )


def test_several_tunnels_are_followed_together(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels = {name: a_tunnel(name) for name in ("eu-1", "eu-2", "us")}
    server.publish(
        *(LogEvent(LogRecord(NOON, "info", name, "new")) for name in ("eu-2", "us", "", "eu-1")),
        after_subscription=True,
        then_shut_down=True,
    )

    done = tool("logs", "eu-*", "-f", "-n", "0")
    assert done.out == f"{NOON} info    eu-2: new\n{NOON} info    eu-1: new\n"


def test_a_message_is_printed_as_one_escaped_line() -> None:
    assert (
        format_lines(LogRecord(NOON, "error", "db", "a\nb\x1b[m"))
        == f"{NOON} error   db: a\\nb\\x1b[m"
    )


def test_lines_are_wrapped_at_blanks_for_a_terminal_and_commands_are_not() -> None:
    record = LogRecord(NOON, "info", "db", "the host key is not known", "tunnelkeeper trust db")

    assert format_lines(record, 44, utc=True).splitlines() == [
        f"{NOON} info    db: the host",
        "    key is not known",
        f"{NOON} info    db:   hint:",
        "    tunnelkeeper trust db",
    ]
