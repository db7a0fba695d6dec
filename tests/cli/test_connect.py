from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.cli import launch

if TYPE_CHECKING:
    from tests.cli.conftest import Tool
    from tests.control.fakes import RunningServer


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str, str]]:
    """Record the connections that the command makes without a supervisor."""
    requested: list[tuple[Path, str, str]] = []

    def connect(config: Path, reference: str, target: str, pump: object, _ask: object) -> int:
        assert callable(pump)
        requested.append((config, reference, target))
        return 7

    monkeypatch.setattr(launch, "connect", connect)
    return requested


def connect(server: RunningServer, target: str, text: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "tunnelkeeper",
            "--socket",
            str(server.path),
            "connect",
            "db",
            target,
        ],
        input=text,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_stdin_and_stdout_are_relayed_with_half_close(server: RunningServer) -> None:
    text = b"hello" * 200_000
    done = connect(server, "echo:7", text)

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == text.upper() + b"BYE"


def test_a_refused_target_exits_with_1_and_the_reason(server: RunningServer) -> None:
    done = connect(server, "closed:1", b"")

    assert done.returncode == 1
    assert done.stderr == b"tunnelkeeper: closed:1: Connection refused\n"


def test_without_a_supervisor_it_connects_directly(
    tool: Tool, direct: list[tuple[Path, str, str]]
) -> None:
    assert tool("connect", "me@relay", "db:5432").code == 7
    assert direct == [(tool.config, "me@relay", "db:5432")]


@pytest.mark.usefixtures("server")
def test_a_name_that_is_not_a_tunnel_is_a_host(
    tool: Tool, direct: list[tuple[Path, str, str]]
) -> None:
    assert tool("connect", "me@relay", "db:5432").code == 7
    assert direct == [(tool.config, "me@relay", "db:5432")]


@pytest.mark.usefixtures("server")
def test_a_supervisor_with_another_config_file_does_not_relay(
    tool: Tool, direct: list[tuple[Path, str, str]]
) -> None:
    assert tool("--config", "other.toml", "connect", "db", "echo:7").code == 7

    assert direct == [(Path.cwd() / "other.toml", "db", "echo:7")]
