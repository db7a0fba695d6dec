"""A short run of each fuzz target, and the command that runs them for longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fuzz.main import main
from tests.fuzz.target import Target, apply_edits
from tests.fuzz.targets import TARGETS
from tunnelkeeper.ssh.ssh_config_fallback import FallbackQuery
from tunnelkeeper.sshconfig import Request, SshConfigError, gather_facts

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = 40


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_parser_raises_only_what_it_documents(target: Target) -> None:
    for data in target.seeds:
        target.read(data)

    target.run(EXAMPLES, number=1)


@pytest.mark.parametrize("line", ["=", "= x", "Port =", "Port"])
async def test_a_line_of_ssh_config_without_keyword_or_value_is_an_error(
    tmp_path: Path, line: str
) -> None:
    config = tmp_path / "config"
    config.write_text(f"{line}\n")

    with pytest.raises(SshConfigError, match="cannot look relay up in ssh_config"):
        await FallbackQuery(gather_facts())(Request("relay", source=str(config)))


def test_a_fault_is_found_and_its_input_is_made_small() -> None:
    def read(data: bytes) -> None:
        if b"x" in data:
            raise KeyError("a fault")

    with pytest.raises(KeyError) as failed:
        Target("faulty", read, (b"abc",), (b"x",)).run(1000, number=1)

    assert any("read(b'x')" in note or "b'x'" in note for note in failed.value.__notes__)


def test_edits_replace_parts_of_an_input() -> None:
    assert apply_edits(b"abcdef", [(1, 2, b"X"), (4, 0, b"Y")]) == b"aXdeYf"


def test_an_unknown_target_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "no such parser"]) == 2
    assert "SOCKS" in capsys.readouterr().out
