"""Fixtures that run the command line in this process, with its own home and a fake supervisor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import RunningServer, running_server
from tunnelkeeper.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class CommandResult:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Tool:
    """Runs a command line and returns its exit code and output."""

    home: Path
    capture: pytest.CaptureFixture[str]

    @property
    def socket(self) -> Path:
        return self.home / "run" / "control.sock"

    @property
    def config(self) -> Path:
        return self.home / "tunnels.toml"

    def __call__(self, *arguments: str) -> CommandResult:
        code = run(arguments)
        captured = self.capture.readouterr()
        return CommandResult(code, captured.out, captured.err)


@pytest.fixture
def tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Tool:
    tool = Tool(tmp_path, capsys)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TUNNELKEEPER_SOCKET", str(tool.socket))
    monkeypatch.setenv("TUNNELKEEPER_CONFIG", str(tool.config))
    monkeypatch.delenv("NO_COLOR", raising=False)
    return tool


@pytest.fixture
def server(tool: Tool) -> Iterator[RunningServer]:
    with running_server(tool.socket) as running:
        yield running
