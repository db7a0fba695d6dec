"""The help texts: their examples, their width, and the files that they name."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest

from tunnelkeeper.cli.main import SECTIONS, SUBCOMMANDS, program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Tool

WIDTH = 80
SEPARATORS = {"&&", "||", "|", ">"}


def all_commands(
    group: click.Group = program, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Yield every command and group, with its name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))


COMMANDS = dict(all_commands())
each_command = pytest.mark.parametrize("name", COMMANDS)


def examples(command: click.Command) -> list[str]:
    """Return the lines of the examples in the help of a command."""
    lines = (command.epilog or "").splitlines()
    assert lines[:2] == ["\b", "Examples:"]
    return [line.strip() for line in lines[2:]]


def command_lines(example: str) -> Iterator[list[str]]:
    """Yield the command lines of tunnelkeeper in an example, which may be a line of a shell."""
    found = re.search(r"""ProxyCommand='(.*?)'|"\$\((.*?)\)\"""", example)
    text = (found[1] or found[2]) if found else example
    words = shlex.split(text, comments=True)
    while words and "=" in words[0]:  # a variable
        words.pop(0)
    ends = [index for index, word in enumerate(words) if word in SEPARATORS]
    words = words[: ends[0]] if ends else words
    assert words[0] == "tunnelkeeper", example
    yield words[1:]


def parse(words: list[str]) -> str:
    """Parse a command line without running it. Return the name of its command."""
    context = program.make_context("tunnelkeeper", list(words))
    path: list[str] = []
    while isinstance(context.command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest:
            break
        name, command, rest = context.command.resolve_command(context, rest)
        assert name is not None
        assert command is not None
        path.append(name)
        context = command.make_context(name, rest, parent=context)
    return " ".join(path)


@each_command
def test_a_command_has_examples_of_itself_that_can_be_parsed(name: str) -> None:
    found = [parse(words) for line in examples(COMMANDS[name]) for words in command_lines(line)]

    assert found
    if isinstance(COMMANDS[name], click.Group):
        assert all(each.startswith(f"{name} ") for each in found)
    else:
        assert set(found) == {name}


def test_the_examples_of_the_program_can_be_parsed() -> None:
    for line in examples(program):
        assert [parse(words) for words in command_lines(line)] != [""]


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_the_help_fits_80_columns_and_breaks_no_line_badly(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    text = tool("help", *name.split()).out

    for line in text.splitlines():
        assert len(line) < WIDTH, line
        assert line.count("[") == line.count("]"), line
        assert line.count("`") % 2 == 0, line


@each_command
def test_the_help_of_a_command_is_that_of_its_option(tool: Tool, name: str) -> None:
    assert tool("help", *name.split()).out.startswith(f"Usage: tunnelkeeper {name}")
    if name != "autossh":  # it is autossh's own option
        assert tool(*name.split(), "--help").out == tool("help", *name.split()).out


def test_help_alone_lists_the_commands(tool: Tool) -> None:
    assert tool("help").out == tool("--help").out


def test_help_knows_the_names_of_other_programs(tool: Tool) -> None:
    assert tool("help", "stop").out == tool("down", "--help").out


@pytest.mark.parametrize("words", [["nothing"], ["relay", "nothing"], ["up", "db"]])
def test_help_of_an_unknown_command_is_a_usage_error(tool: Tool, words: list[str]) -> None:
    done = tool("help", *words)

    assert (done.code, done.out, done.err.count("tunnelkeeper: ")) == (2, "", 1)


def test_every_command_is_in_one_section_of_the_help() -> None:
    listed = [name for names in SECTIONS.values() for name in names]

    assert len(listed) == len(set(listed))
    assert {each.name for each in SUBCOMMANDS} <= set(listed)


def test_the_help_begins_with_what_a_new_user_needs(tool: Tool) -> None:
    words = re.findall(r"^  (\w+)  ", tool("--help").out, re.MULTILINE)

    assert words[:4] == ["init", "add", "up", "status"]
    assert "completion install" in tool("--help").out


def test_the_help_names_the_config_file_of_this_user(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUNNELKEEPER_CONFIG")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for words in (["--help"], ["up", "--help"], ["help", "import", "unit"]):
        assert "Config file: ~/.config/tunnelkeeper/tunnels.toml (" in tool(*words).out
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/xdg")
    assert "Config file: /etc/xdg/tunnelkeeper/tunnels.toml (" in tool("up", "--help").out
    assert "Config file: /x.toml (" in tool("--config", "/x.toml", "up", "--help").out
    assert "tunnelkeeper-relay/relay.toml (" in tool("relay", "add", "--help").out
    assert "Config file" not in tool("demo", "--help").out


def test_a_short_option_means_the_same_in_every_command() -> None:
    meanings: dict[str, set[str]] = {}
    for command in (program, *COMMANDS.values()):
        for option in command.params:
            for short in (each for each in option.opts if len(each) == 2):
                longs = [each for each in option.opts if each.startswith("--")]
                meanings.setdefault(short, set()).add(longs[0] if longs else str(option.name))

    assert {short: names for short, names in meanings.items() if len(names) > 1} == {}
