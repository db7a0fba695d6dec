"""Finds the ssh or autossh that a command comes down to: behind env, exec, sudo or a shell's -c.

Pure: it takes programs by their names. What runs ssh in a way that is not known here (sshpass,
screen) is Unreadable, as it may matter; what has nothing to do with ssh is nothing.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tunnelkeeper.importing.sh_parser import simple_commands
from tunnelkeeper.importing.source_commands import Command, Program, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROGRAMS: dict[str, Program] = {
    "autossh": "autossh",
    "ssh": "ssh",
    "tunnelkeeper-autossh": "autossh",
}
_SHELLS = frozenset(["ash", "bash", "dash", "ksh", "sh", "zsh"])
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)

_TRANSPARENT = {
    "command": "",
    "env": "uCS",
    "exec": "a",
    "ionice": "cnpPu",
    "nice": "n",
    "nohup": "",
    "runuser": "ug",
    "setsid": "",
    "stdbuf": "ioe",
    "sudo": "ugCDhprRTtU",
}
"""Programs that run the rest of their words, and their options that take a value."""

_ONLY_MENTION = frozenset(
    [
        "[",
        "echo",
        "grep",
        "kill",
        "killall",
        "logger",
        "mkdir",
        "pgrep",
        "pkill",
        "printf",
        "ps",
        "rm",
        "test",
        "type",
        "which",
    ]
)
"""Programs to whom ssh is a word like any other."""

_CHANGE_ACCOUNT = frozenset({"runuser", "sudo"})
_USER = re.compile(r"--user(=|$)|-[A-Zbeikns]*u")
"""The option that names a user; what follows in the same word is the name."""
_DEEPEST = 8
"""Wrappers in wrappers; more is a mistake or a joke."""


def ssh_commands(
    words: Sequence[str], environment: Mapping[str, str], depth: int = 0
) -> list[Command]:
    """The command lines of ssh and autossh in a command; none where it runs something else.

    Raises Unreadable.
    """
    if not words or depth > _DEEPEST:
        return []
    name = words[0].rpartition("/")[2]
    if name in _PROGRAMS:
        return [Command(_PROGRAMS[name], tuple(words[1:]), dict(environment))]
    if name in _SHELLS and (script := _script(words[1:])) is not None:
        return in_shell(script, environment, depth + 1)
    if name == "su" or (name == "runuser" and not any(_USER.match(word) for word in words[1:])):
        return _su(words[1:], environment, depth + 1)
    if name == "command" and words[1:2] in (["-v"], ["-V"]):  # it asks where a program is
        return []
    if name in _TRANSPARENT:
        return _behind(name, words[1:], environment, depth + 1)
    if name not in _ONLY_MENTION and any(is_ssh(word) for word in words[1:]):
        raise UnreadableError(f"{name} runs it, and what that does is not known here")
    return []


def commands_of_words(
    program: Program, words: Sequence[str], environment: Mapping[str, str]
) -> list[Command]:
    """The same for what a person hands over as a line of a program.

    The program's name may stand in front, with variables, and it may all be one word.

    Raises Unreadable.
    """
    if len(words) == 1 and len(words[0].split()) > 1:
        return in_shell(words[0], environment)
    if len(words) > 1 and (is_ssh(words[0]) or _ASSIGNMENT.fullmatch(words[0])):
        return ssh_commands(["env", *words], environment)
    return [Command(program, tuple(words), dict(environment))]


def in_shell(text: str, environment: Mapping[str, str], depth: int = 0) -> list[Command]:
    """The same in a shell's text.

    Raises Unreadable.
    """
    found: list[Command] = []
    for simple in simple_commands(text, environment):
        commands = ssh_commands(simple.words, simple.variables, depth)
        if commands and simple.why_not:
            raise UnreadableError(simple.why_not)
        found += commands
    return found


def is_ssh(word: str) -> bool:
    """Whether a word names ssh or autossh."""
    return word.rpartition("/")[2] in _PROGRAMS


def _script(arguments: Sequence[str]) -> str | None:
    """The text behind a shell's -c, which may stand with other flags: `-lc`."""
    for at, word in enumerate(arguments[:-1]):
        if word.startswith("-") and not word.startswith("--") and "c" in word:
            return arguments[at + 1]
    return None


def _behind(
    name: str, arguments: Sequence[str], environment: Mapping[str, str], depth: int
) -> list[Command]:
    """Behind the options and assignments of a program that runs the rest."""
    rest = list(arguments)
    variables = dict(environment)
    account = None
    while rest and (rest[0].startswith("-") or _ASSIGNMENT.fullmatch(rest[0])):
        word = rest.pop(0)
        if word == "--":
            break
        if match := _ASSIGNMENT.fullmatch(word):
            variables[match[1]] = match[2]
        elif name == "env" and word in {"-", "-i", "--ignore-environment"}:
            variables = {}
        elif name in _CHANGE_ACCOUNT and (match := _USER.match(word)):
            account = word[match.end() :] or (rest.pop(0) if rest else None)
        elif not word.startswith("--") and word[-1] in _TRANSPARENT[name] and rest:
            rest.pop(0)
    found = ssh_commands(rest, variables, depth)
    return [replace(each, account=each.account or account) for each in found]


def _su(arguments: Sequence[str], environment: Mapping[str, str], depth: int) -> list[Command]:
    """Su's options stand on either side of the user: `su - tunnel -c '...'`."""
    rest = list(arguments)
    account, script = None, None
    while rest:
        word = rest.pop(0)
        if word in {"-c", "--command"} and rest:
            script = rest.pop(0)
        elif word in {"-s", "--shell", "-g", "-G"} and rest:
            rest.pop(0)
        elif not word.startswith("-") and account is None:
            account = word
    if script is None:
        return []
    found = in_shell(script, environment, depth)
    return [replace(each, account=each.account or account or "root") for each in found]
