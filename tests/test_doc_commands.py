"""Every command of tunnelkeeper in the pages is one that the program accepts.

The command lines are parsed as the program parses them, and not run.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from tests.markdown import FENCE, blocks_in
from tests.ssh_lines import answer_to
from tunnelkeeper.autossh.command_line import parse_autossh
from tunnelkeeper.cli.global_options import move_to_front
from tunnelkeeper.cli.main import program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted(ROOT.glob("docs/*.md")),
    ROOT / "examples/README.md",
]
TASKS = ROOT / "docs/tasks.md"
AUTOSSH = {"autossh", "tunnelkeeper-autossh"}
USAGE = re.compile(r"[\[\]…]|\.\.\.")
"""Signs of a usage line, which is a pattern of command lines and not one of them."""

Words = list[str]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_every_command_of_a_block_is_accepted(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert [found for line in lines_of_blocks(text) for found in problems(line)] == []


@each_page
def test_every_command_within_the_text_is_accepted(page: Path) -> None:
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    lines = re.findall(r"`(tunnelkeeper(?:-autossh)? [^`]+)`", prose.replace("\n", " "))

    assert [
        found for line in lines if not USAGE.search(line) for found in problems(line, is_part=True)
    ] == []


@pytest.mark.parametrize(
    ("line", "accepted"),
    [
        ("sudo tunnelkeeper relay add box17 --listen 22", True),
        ("tunnelkeeper status --config other.toml   # a comment", True),
        ("tunnelkeeper wait db --timeout 60 && pg_dump shop > shop.sql", True),
        ("ssh -o ProxyCommand='tunnelkeeper connect db %h:%p' web", True),
        ("tunnelkeeper-autossh -M 0 -N -L 80:localhost:80 host", True),
        ("tunnelkeeper stauts", False),
        ("NO_COLOR=1 tunnelkeeper status --colour", False),
        ("true && tunnelkeeper wait", False),
        ("ssh -o ProxyCommand='tunnelkeeper conect db %h:%p' web", False),
        ("autossh -M 0 -Z host", False),
        ("sudo tunnelkeeper relay add", False),
    ],
)
def test_these_tests_tell_what_the_program_accepts(line: str, *, accepted: bool) -> None:
    assert (not list(problems(line))) is accepted


def test_every_line_of_ssh_in_the_tasks_is_one_that_ssh_accepts() -> None:
    lines = [
        words[1:]
        for line in lines_of_blocks(TASKS.read_text(encoding="utf-8"))
        for words in commands_in(line)
        if words[0] == "ssh"
    ]

    assert lines
    for words in lines:
        answer_to(words)  # raises CalledProcessError


def test_each_task_says_what_to_type_what_is_seen_and_what_can_go_wrong() -> None:
    *tasks, _more = re.split(r"^## ", TASKS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]

    for task in tasks:
        title, _, text = task.partition("\n")
        parts = re.findall(r"^\*\*([A-Z].*?)\*\*", text, re.MULTILINE)
        assert [part.rstrip(".") for part in parts] == [
            "What to type",
            "What you see",
            "What can go wrong",
        ], title
        assert "](" in text.partition("**What can go wrong.**")[2], f"{title} has no link"


def lines_of_blocks(text: str) -> Iterator[str]:
    """Yield the command lines of all blocks of shell; a line may continue on the next one."""
    for block in [*blocks_in(text, "sh"), *blocks_in(text, "console")]:
        is_console = block.startswith("$ ")
        for line in block.replace("\\\n", " ").splitlines():
            if not is_console:
                yield line
            elif line.startswith("$ "):
                yield line.removeprefix("$ ")


def problems(line: str, *, is_part: bool = False) -> Iterator[str]:
    """Yield what the program refuses in a line of shell. is_part: it may lack arguments."""
    for name, *arguments in commands_in(line):
        try:
            if name == "tunnelkeeper":
                parse(arguments)
            elif name in AUTOSSH:
                parse_autossh(arguments)
        except (click.MissingParameter, click.exceptions.NoArgsIsHelpError) as error:
            if not is_part:
                yield f"{line}: {error.format_message()}"
        except click.ClickException as error:
            yield f"{line}: {error.format_message()}"
        except ValueError as error:
            if arguments[1:] or not is_part:
                yield f"{line}: {error}"


def commands_in(line: str) -> Iterator[Words]:
    """Yield the simple commands of a line, and those within an argument such as ProxyCommand."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();&|<>")
    lexer.whitespace_split = True
    command: Words = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();&|<>"):
            if command := without_prefix(command):
                yield command
            command = []
            continue
        command.append(word)
        if nested := re.search(r"(?:^|[=(])(tunnelkeeper .*?)\)?$", word):
            yield from commands_in(nested[1])


def without_prefix(command: Words) -> Words:
    """Return a command without assignments of variables, sudo, and a container around it."""
    while command and (command[0] == "sudo" or re.fullmatch(r"\w+=.*", command[0])):
        command = command[1:]
    return command[3:] if command[:2] == ["docker", "exec"] else command


def parse(arguments: Sequence[str]) -> None:
    """Parse a command line of tunnelkeeper down to its subcommand; raise ClickException."""
    try:
        context = program.make_context("tunnelkeeper", list(arguments))
        command: click.Command = program
        while isinstance(command, click.Group) and (
            rest := [*context._protected_args, *context.args]
        ):
            name, found, rest = command.resolve_command(context, rest)
            assert found is not None
            context, command = found.make_context(name, rest, parent=context), found
        if context.command_path == "tunnelkeeper autossh":
            parse_autossh(context.params["arguments"])
    except click.exceptions.Exit:
        pass  # --help and --version
    except click.NoSuchOption as error:
        moved = move_to_front(arguments, error.option_name)
        if moved is None:
            raise
        parse(moved)
