from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.control.fakes import NOON, RunningServer
from tunnelkeeper.cli.logs import format_line
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


def test_a_message_is_printed_as_one_escaped_line() -> None:
    assert (
        format_line(LogRecord(NOON, "error", "db", "a\nb\x1b[m"))
        == f"{NOON} error   db: a\\nb\\x1b[m"
    )
