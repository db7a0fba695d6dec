"""The commands down, restart and reload."""

from __future__ import annotations

import fcntl
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper import paths
from tunnelkeeper.cli import control
from tunnelkeeper.core.message import Message

if TYPE_CHECKING:
    from tests.cli.conftest import Tool
    from tests.control.fakes import RunningServer


def test_down_stops_the_named_tunnels(tool: Tool, server: RunningServer) -> None:
    done = tool("down", "db")

    assert (done.code, done.out) == (0, "stopped db\n")
    assert server.fake.requests == [("stop", ["db"], None)]


def test_down_stops_a_group(tool: Tool, server: RunningServer) -> None:
    tool("down", "--group", "work")

    assert server.fake.requests == [("stop", [], "work")]


def test_down_without_a_name_shuts_the_supervisor_down_and_waits(
    tool: Tool, server: RunningServer
) -> None:
    done = tool("down")

    assert (done.code, done.out) == (0, "the supervisor has ended\n")
    assert server.fake.has_ended.is_set()
    assert not server.path.exists()
    assert tool("down").code == 3


@pytest.mark.usefixtures("server")
def test_down_waits_for_the_lock(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = paths.lock_path(tool.socket).open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    polled = threading.Event()

    def release_lock(_seconds: float) -> None:
        polled.set()
        lock.close()

    monkeypatch.setattr("tunnelkeeper.cli.control.time.sleep", release_lock)

    assert tool("down").code == 0
    assert polled.is_set()


@pytest.mark.usefixtures("server")
def test_a_supervisor_that_does_not_exit_is_a_timeout(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "END_TIMEOUT", 0.1)

    with paths.lock_path(tool.socket).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = tool("down")

    assert done.code == 5
    assert "has not ended" in done.err


def test_restart_graceful_is_requested(tool: Tool, server: RunningServer) -> None:
    done = tool("restart", "--graceful", "db")

    assert (done.code, done.out) == (0, "restarting db gracefully\n")
    assert server.fake.requests == [("restart gracefully", ["db"], None)]


def test_restart_prints_the_tunnels_that_restart(tool: Tool, server: RunningServer) -> None:
    done = tool("restart", "db")

    assert (done.code, done.out) == (0, "restarting db\n")
    assert server.fake.requests == [("restart", ["db"], None)]


@pytest.mark.usefixtures("server")
def test_reload_prints_the_changes(tool: Tool) -> None:
    assert tool("reload").out == "db: a forward was added\n"
    assert json.loads(tool("reload", "--json").out) == {
        "changes": ["db: a forward was added"],
        "problems": [],
        "hints": [],
    }


def test_reload_of_an_invalid_file_prints_every_problem_and_exits_with_2(
    tool: Tool, server: RunningServer
) -> None:
    server.fake.problems = [Message("t.toml:1: bad"), Message("t.toml:2: worse", "undo it")]
    done = tool("reload")

    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        "t.toml:1: bad",
        "t.toml:2: worse",
        "  hint: undo it",
        "tunnelkeeper: the config file has problems; nothing was changed",
    ]
    as_json = tool("reload", "--json")
    assert as_json.code == 2
    result = json.loads(as_json.out)
    assert result["changes"] == []
    assert result["problems"] == ["t.toml:1: bad", "t.toml:2: worse"]
    assert result["hints"] == ["", "undo it"]
    assert result["error"]["message"] == "the config file has problems; nothing was changed"
    assert result["error"]["hints"] == ["", "undo it"]


@pytest.mark.parametrize("command", [("reload",), ("down",), ("restart", "db"), ("down", "db")])
def test_a_supervisor_with_another_config_file_is_left_alone(
    tool: Tool, server: RunningServer, command: tuple[str, ...]
) -> None:
    done = tool("--config", "other.toml", *command)

    assert (done.code, done.out) == (1, "")
    assert f"not {Path.cwd() / 'other.toml'}" in done.err
    assert server.fake.requests == []


def test_reload_accepts_another_path_to_the_same_file(tool: Tool, server: RunningServer) -> None:
    link = tool.home / "link.toml"
    link.symlink_to(server.fake.snapshot(None).supervisor.config)

    assert tool("--config", str(link), "reload").code == 0
