from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.cli import launch
from tunnelkeeper.cli.launch import Findings
from tunnelkeeper.config import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Tool


@pytest.fixture
def findings(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> Findings:
    result = Findings([], [])

    def check(config: Path) -> Findings:
        assert config == tool.config
        return result

    monkeypatch.setattr(launch, "check", check)
    return result


@pytest.mark.usefixtures("findings")
def test_a_valid_file_prints_nothing(tool: Tool) -> None:
    done = tool("check")

    assert (done.code, done.out, done.err) == (0, "", "")


def test_problems_are_printed_on_stderr_with_exit_code_2(tool: Tool, findings: Findings) -> None:
    problem = Problem("tunnels.toml", 1, "tunnels.db", "bad")
    findings.problems.extend([problem, replace(problem, line=2, key="", message="worse")])
    done = tool("check")

    assert (done.code, done.out) == (2, "")
    assert done.err == "tunnels.toml:1: tunnels.db: bad\ntunnels.toml:2: worse\n"


def test_warnings_are_printed_with_exit_code_0(tool: Tool, findings: Findings) -> None:
    findings.warnings.append(Problem("t.toml", None, "", "relay: GSSAPI is not supported"))
    done = tool("check")

    assert (done.code, done.err) == (0, "warning: t.toml: relay: GSSAPI is not supported\n")


def test_json_lists_problems_and_warnings_as_objects(tool: Tool, findings: Findings) -> None:
    findings.problems.append(Problem("t.toml", 7, "tunnels.db.port", "bad", "write 22"))
    findings.warnings.append(Problem("t.toml", None, "", "odd"))
    done = tool("check", "--json")

    assert (done.code, done.err) == (2, "")
    error = {
        "file": "t.toml",
        "line": 7,
        "key": "tunnels.db.port",
        "message": "bad",
        "hint": "write 22",
    }
    warning = {"file": "t.toml", "line": None, "key": "", "message": "odd", "hint": ""}
    assert json.loads(done.out) == {
        "problems": [{"severity": "error", **error}],
        "warnings": [{"severity": "warning", **warning}],
    }


@pytest.mark.usefixtures("findings")
def test_a_control_socket_with_a_long_path_is_a_problem(tool: Tool) -> None:
    path = f"/tmp/{'x' * 120}"

    for command in ("check", "status", "up"):
        done = tool("--socket", path, command)
        assert done.code != 0
        assert f"{path}: longer than the 103 bytes" in done.err
        assert "--socket" in done.err
