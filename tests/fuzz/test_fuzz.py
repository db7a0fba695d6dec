"""A short run of each fuzz target, and the command that runs them for longer."""

from __future__ import annotations

import pytest

from tests.fuzz.main import main
from tests.fuzz.target import Target, apply_edits
from tests.fuzz.targets import TARGETS

EXAMPLES = 40


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_parser_raises_only_what_it_documents(target: Target) -> None:
    for data in target.seeds:
        target.read(data)

    target.run(EXAMPLES, number=1)


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
