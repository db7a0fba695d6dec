from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.cli import launch
from tunnelkeeper.cli.launch import Findings

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
    findings.problems.extend(["tunnels.toml:1: bad", "tunnels.toml:2: worse"])
    done = tool("check")

    assert (done.code, done.out) == (2, "")
    assert done.err == "tunnels.toml:1: bad\ntunnels.toml:2: worse\n"


def test_warnings_are_printed_with_exit_code_0(tool: Tool, findings: Findings) -> None:
    findings.warnings.append("relay: GSSAPI is not supported")
    done = tool("check")

    assert (done.code, done.err) == (0, "warning: relay: GSSAPI is not supported\n")


def test_json_lists_problems_and_warnings(tool: Tool, findings: Findings) -> None:
    findings.problems.append("bad")
    findings.warnings.append("odd")
    done = tool("check", "--json")

    assert (done.code, done.err) == (2, "")
    assert json.loads(done.out) == {"problems": ["bad"], "warnings": ["odd"]}
