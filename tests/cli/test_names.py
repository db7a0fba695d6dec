"""Patterns of names where commands take tunnels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import RunningServer, a_tunnel
from tunnelkeeper.cli import launch

if TYPE_CHECKING:
    from tests.cli.conftest import Tool

NAMES = ("eu-1", "eu-2", "us")


@pytest.fixture
def fleet(server: RunningServer) -> RunningServer:
    server.fake.tunnels = {name: a_tunnel(name) for name in NAMES}
    return server


@pytest.mark.parametrize(
    ("line", "request_line"),
    [
        ("down eu-*", ("stop", ["eu-1", "eu-2"], None)),
        ("restart us eu-[2]", ("restart", ["us", "eu-2"], None)),
        ("up eu-? --no-wait", ("start", ["eu-1", "eu-2"], None)),
        ("up *", ("start", [*NAMES], None)),
    ],
)
def test_a_pattern_stands_for_the_tunnels_that_it_matches(
    tool: Tool, fleet: RunningServer, line: str, request_line: tuple[object, ...]
) -> None:
    assert tool(*line.split()).code == 0
    assert fleet.fake.requests == [request_line]


@pytest.mark.usefixtures("fleet")
def test_status_and_wait_accept_patterns(tool: Tool) -> None:
    shown = tool("status", "eu-*").out

    assert ("eu-1" in shown, "eu-2" in shown, "us" in shown) == (True, True, False)
    assert tool("wait", "e*", "--timeout", "9").code == 0


@pytest.mark.parametrize("command", ["down", "restart", "up", "status", "wait", "logs"])
def test_a_pattern_without_a_match_does_nothing(
    tool: Tool, fleet: RunningServer, command: str
) -> None:
    done = tool(command, "asia-*")

    assert (done.code, done.out) == (4, "")
    assert "no tunnel matches 'asia-*'\n  hint: tunnelkeeper status" in done.err
    assert fleet.fake.requests == []


def test_without_a_supervisor_up_reads_the_names_from_the_file(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(launch, "run", lambda *arguments: started.append(arguments[2]))
    tool.config.write_text("".join(f'tunnels.{name}.host = "h"\n' for name in NAMES))

    assert tool("up", "eu-*").code == 0
    assert tool("up", "asia-*").code == 4
    tool.config.write_text("tunnels = 1")
    assert tool("up", "eu-*").code == 2
    assert started == [("eu-1", "eu-2")]
