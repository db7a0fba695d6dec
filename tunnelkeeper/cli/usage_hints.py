"""Command lines that are refused, and the calls that were probably meant. It runs nothing."""

from __future__ import annotations

import re
import shlex
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from tunnelkeeper.core.message import Message

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_PROGRAM = "tunnelkeeper"
_NOT_A_NUMBER = re.compile(r"is not a valid (?:float|integer)(?: range)?")
_NO_COMMAND = re.compile(r"No such command '(?P<word>.*)'\.")

SSH_FORWARDS = ("-L", "-R", "-D")
SSH_SETTINGS = {"-i": "identity_files", "-J": "jump", "-l": "user", "-p": "port"}
"""Options of ssh with a value, and the keys that stand for them."""

SSH_FLAGS = frozenset("-46ACfgNnqTtvX")
"""Letters of options of ssh without a value. A tunnel needs none of them."""

FLAGS = frozenset({"version", "verbose"})
"""Options of the program that are easily taken for commands."""

JSON_ELSEWHERE = {
    "connect": f"{_PROGRAM} trust --json HOST",
    "dashboard": f"{_PROGRAM} status --json",
    "edit": f"{_PROGRAM} check --json",
    "schema": f"{_PROGRAM} schema",
}
"""What gives JSON in place of commands without --json."""


EXAMPLES = {
    "connect": "me@relay.example.com db.internal:5432",
    "import autossh": "-- -M 0 -N -L 5432:db.internal:5432 me@relay.example.com",
    "import ssh": "-- -N -L 5432:db.internal:5432 me@relay.example.com",
}
"""Arguments of commands for which names in capitals would not say what to write."""


class HintedUsageError(click.UsageError):
    """A wrong call whose remedy is known where it is found."""

    def __init__(self, message: str, hint: str, ctx: click.Context | None = None) -> None:
        super().__init__(message, ctx)
        self.hint = hint


class UnknownCommandError(click.UsageError):
    """The first word is no command. known: the words that are."""

    def __init__(self, word: str, known: Collection[str], ctx: click.Context) -> None:
        super().__init__(f"no such command {word!r}", ctx)
        self.word = word
        self.known = known


def explain(
    error: click.ClickException, arguments: Sequence[str], known: Collection[str]
) -> Message:
    """Return the message for a command line that click refuses, with the call that was meant.

    arguments: the whole line without the program. known: the commands of the program.
    """
    match error:
        case HintedUsageError():
            return Message(error.message, error.hint)
        case UnknownCommandError():
            return Message(error.message, _with_word(error.word, error.known, arguments, _PROGRAM))
        case click.NoSuchOption():
            return Message(
                f"no such option {error.option_name!r}", _for_option(error, arguments, known)
            )
        case click.MissingParameter(param=click.Argument() as argument, ctx=click.Context() as ctx):
            text = f"{_path(ctx)}: {argument.make_metavar(ctx).strip('.')} is missing"
            return Message(text, _complete(ctx, arguments))
        case click.UsageError(ctx=click.Context() as ctx):
            return _for_usage(error, ctx, arguments)
    return Message(_sentence(error.format_message()), f"{_PROGRAM} --help")


def _for_usage(error: click.UsageError, ctx: click.Context, arguments: Sequence[str]) -> Message:
    found = _NO_COMMAND.fullmatch(error.message)
    if found is not None and isinstance(ctx.command, click.Group):
        names = ctx.command.list_commands(ctx)
        hint = _with_word(found["word"], names, arguments, ctx.command_path)
        return Message(f"{_path(ctx)}: no such command {found['word']!r}", hint)
    return Message(_sentence(error.format_message()), f"{ctx.command_path} --help")


def _with_word(word: str, known: Collection[str], arguments: Sequence[str], path: str) -> str:
    """Return the line with a known word in place of an unknown one, or the call of the help."""
    if path == _PROGRAM and word in FLAGS:
        return f"{_PROGRAM} --{word}"
    near = get_close_matches(word, list(known), n=1)
    return _line(_replaced(arguments, word, near[0])) if near else f"{path} --help"


def _for_option(error: click.NoSuchOption, arguments: Sequence[str], known: Collection[str]) -> str:
    """Return the line with the option that was meant, or the command that has such an option."""
    option, ctx = error.option_name, error.ctx
    is_of_program = ctx is not None and ctx.parent is None
    if is_of_program and option[:2] in {*SSH_FORWARDS, *SSH_SETTINGS, *_flags()}:
        return _for_ssh_line(arguments, known)
    if error.possibilities:
        return _line(_replaced(arguments, option, error.possibilities[0]))
    path = ctx.command_path if ctx is not None else _PROGRAM
    if option == "--json" and ctx is not None and ctx.info_name in JSON_ELSEWHERE:
        return JSON_ELSEWHERE[ctx.info_name]
    return f"{path} --help"


def _for_ssh_line(arguments: Sequence[str], known: Collection[str]) -> str:
    """Return the call that opens the forwards of a command line of ssh."""
    forwards: list[str] = []
    settings: list[str] = []
    hosts: list[str] = []
    words = iter(arguments)
    for word in words:
        option, joined = word[:2], word[2:]
        if option in SSH_FORWARDS:
            forwards += [option, joined or next(words, "PORT")]
        elif option in SSH_SETTINGS:
            settings.append(f"{SSH_SETTINGS[option]}={joined or next(words, 'VALUE')}")
        elif not word.startswith("-"):
            hosts.append(word)
    host = hosts[0] if hosts else "HOST"
    if "forward" in known:
        return _line(["forward", host, *forwards, *settings])
    return _line(["add", "NAME", host, *forwards, *settings, "--up"])


def _complete(ctx: click.Context, arguments: Sequence[str]) -> str:
    """Return the line with the names of the arguments that are missing at its end."""
    missing = [
        parameter.make_metavar(ctx).strip("[].").partition("|")[0]
        for parameter in ctx.command.params
        if isinstance(parameter, click.Argument)
        and parameter.required
        and not ctx.params.get(parameter.name or "")
    ]
    path = _path(ctx)
    if path in EXAMPLES:
        return f"{_PROGRAM} {path} {EXAMPLES[path]}"
    line = _line([*arguments, *missing])
    needs_spec = path in {"add", "forward"} and not any(
        word[:2] in SSH_FORWARDS for word in arguments
    )
    return f"{line} -L 5432:localhost:5432" if needs_spec else line


def _path(ctx: click.Context) -> str:
    """Return the words of a command without the program."""
    return ctx.command_path.partition(" ")[2]


def _flags() -> set[str]:
    return {f"-{letter}" for letter in SSH_FLAGS if letter.isalnum()}


def _replaced(arguments: Sequence[str], word: str, other: str) -> list[str]:
    """Return the arguments with the first use of a word replaced. It may have a value with `=`."""
    replaced = list(arguments)
    for index, each in enumerate(replaced):
        name, equals, value = each.partition("=")
        if name == word:
            replaced[index] = f"{other}{equals}{value}"
            break
    return replaced


def _line(words: Sequence[str]) -> str:
    return shlex.join([_PROGRAM, *words])


def _sentence(text: str) -> str:
    """Return a message of click in the style of ours: no capital, no period at the end."""
    text = _NOT_A_NUMBER.sub("is not a number", text.strip().removesuffix("."))
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
