"""The examples: each loads without a word, and is what the ssh command in its comment does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ssh_lines import ask_ssh, forwards_in, hosts_in, hosts_of, in_order
from tunnelkeeper.config import parse_with_warnings

if TYPE_CHECKING:
    from tunnelkeeper.config import Problem
    from tunnelkeeper.core.configuration import Configuration, Tunnel

FOLDER = Path(__file__).parent.parent / "examples"
RELAY = FOLDER / "relay.toml"  # of another kind: tests/relay/test_reference.py is about it
EXAMPLES = sorted(set(FOLDER.glob("*.toml")) - {RELAY}, key=lambda path: path.name)
REPLACES = "# replaces: "

each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


@each_example
def test_it_loads_without_problems_or_warnings(path: Path) -> None:
    _, warnings = parse_example(path)

    assert warnings == ()


@each_example
def test_each_of_its_tunnels_has_a_command_that_it_replaces(path: Path) -> None:
    assert len(commands_of(path)) == len(parse_example(path)[0].tunnels)


@each_example
def test_its_forwards_are_those_of_the_command(path: Path) -> None:
    for tunnel, answer in pairs(path):
        assert in_order(tunnel.forwards) == in_order(forwards_in(answer))


@each_example
async def test_its_hosts_are_those_of_the_command(path: Path) -> None:
    configuration = parse_example(path)[0]
    for tunnel, answer in pairs(path):
        assert await hosts_of(tunnel, configuration) == hosts_in(answer)


def test_the_index_names_every_example_once() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")

    assert [path.name for path in [*EXAMPLES, RELAY] if index.count(f"({path.name})") != 1] == []


def parse_example(path: Path) -> tuple[Configuration, tuple[Problem, ...]]:
    # Not load_with_warnings(): a checkout may belong to another user, or be writable for a group.
    return parse_with_warnings(path.read_text(encoding="utf-8"), str(path))


def pairs(path: Path) -> list[tuple[Tunnel, list[tuple[str, str]]]]:
    """Each tunnel of an example with what ssh says of the command that it replaces."""
    tunnels = parse_example(path)[0].tunnels.values()
    answers = [ask_ssh(command) for command in commands_of(path)]
    return list(zip(tunnels, answers, strict=True))


def commands_of(path: Path) -> list[str]:
    """Return the commands in an example's comments, in the order of its tunnels."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(REPLACES) for line in lines if line.startswith(REPLACES)]
