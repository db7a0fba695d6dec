"""Finds what a systemd service runs: its ExecStart= lines with everything filled in.

By systemd.service(5) and systemd.exec(5): words are split first, then specifiers are filled in,
then variables, as `$NAME` (a word by itself, split again) and `${NAME}`. Files and the machine's
own facts are handed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tunnelkeeper.importing.environment_file import read_environment
from tunnelkeeper.importing.find_ssh_commands import is_ssh, ssh_commands
from tunnelkeeper.importing.source_commands import (
    Command,
    Finding,
    NotImportable,
    SourceCommand,
    UnreadableError,
)
from tunnelkeeper.importing.specifiers import Specifiers, UnitName, expand
from tunnelkeeper.importing.unit_quoting import split_commands, split_variable, split_words
from tunnelkeeper.importing.unit_text import UnitText, read_unit

_SERVICE = "Service"
_PREFIXES = "@-:+!|"
_VARIABLE = re.compile(r"\$(\$|\{[A-Za-z_][A-Za-z0-9_]*\})")
_BESIDE = {
    "ExecStartPre": "on_up runs a program when the tunnel is up; none runs before it",
    "ExecStartPost": "on_up runs a program when the tunnel is up",
    "ExecStop": "the supervisor closes the connection itself",
    "ExecStopPost": "on_down runs a program when the tunnel is up no longer",
}
"""What a service runs besides, and what there is here instead."""

ReadFile = Callable[[str], str]
"""The text of a file; raises OSError."""

HomeOf = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Service:
    """A unit of type service.

    origin: what to call it. text: of the file and its drop-ins. specifiers: what they stand for.
    account: who runs the service manager, and so the service, unless it says User=. is_user: of a
    user's own service manager.
    """

    name: UnitName
    origin: str
    text: str
    specifiers: Specifiers
    account: str
    is_user: bool


def lines_of_service(service: Service, read_file: ReadFile, home_of: HomeOf) -> list[Finding]:
    """The command lines of ssh and autossh that a service runs, and what cannot be read."""
    unit = read_unit(service.text)
    try:
        setting = _setting(service, unit, read_file, home_of)
        commands = [
            words for text in unit.values(_SERVICE, "ExecStart") for words in split_commands(text)
        ]
    except UnreadableError as error:
        return [NotImportable(service.origin, str(error))]
    found: list[Finding] = []
    for words in commands:
        try:
            found += [_line(service, setting, each) for each in _commands(words, setting)]
        except UnreadableError as error:
            found.append(NotImportable(service.origin, f"ExecStart=: {error}"))
    return found


@dataclass(frozen=True, slots=True)
class _Setting:
    """What all commands of a service run with. unread: environment files that are missing."""

    specifiers: Specifiers
    environment: Mapping[str, str]
    unread: tuple[str, ...]
    account: str
    folder: str
    dropped: tuple[str, ...]


def _setting(service: Service, unit: UnitText, read_file: ReadFile, home_of: HomeOf) -> _Setting:
    user = expand(unit.value(_SERVICE, "User"), service.specifiers)
    account = user or service.account
    home = home_of(account) or "/"
    environment: dict[str, str] = {}
    if user or service.is_user:
        environment |= {"HOME": home, "LOGNAME": account, "USER": account}
    for text in unit.values(_SERVICE, "Environment"):
        for word in split_words(text):
            name, equals, value = expand(word, service.specifiers).partition("=")
            if equals:
                environment[name] = value
    unread: list[str] = []
    for text in unit.values(_SERVICE, "EnvironmentFile"):
        path = expand(text.removeprefix("-"), service.specifiers)
        try:
            environment |= read_environment(read_file(path))
        except OSError:
            unread += [] if text.startswith("-") else [path]
    folder = expand(unit.value(_SERVICE, "WorkingDirectory"), service.specifiers).removeprefix("-")
    if folder in {"", "~"}:
        folder = home if folder or service.is_user else "/"
    return _Setting(
        service.specifiers,
        environment,
        tuple(unread),
        account,
        folder,
        tuple(_dropped(unit, unread)),
    )


def _dropped(unit: UnitText, unread: list[str]) -> list[str]:
    beside = [
        f"{key}={value}: {instead}"
        for key, instead in _BESIDE.items()
        for value in unit.values(_SERVICE, key)
    ]
    return [*beside, *(f"EnvironmentFile={path}: cannot be read here" for path in unread)]


def _commands(words: list[str], setting: _Setting) -> list[Command]:
    """What a command of ExecStart= comes down to."""
    program = words[0].lstrip(_PREFIXES)
    prefixes = words[0][: len(words[0]) - len(program)]
    filled_in = [expand(word, setting.specifiers) for word in [program, *words[1:]]]
    if "@" in prefixes:  # the second word is what the program believes to be called
        del filled_in[1:2]
    arguments = filled_in[1:]
    missing: list[str] = []
    if ":" not in prefixes:
        arguments = [part for word in arguments for part in _substituted(word, setting, missing)]
    found = ssh_commands([filled_in[0], *arguments], setting.environment)
    if missing and setting.unread and (found or any(map(is_ssh, filled_in))):
        file = ", ".join(setting.unread)
        raise UnreadableError(f"${missing[0]} may be set in {file}, which cannot be read here")
    return found


def _substituted(word: str, setting: _Setting, missing: list[str]) -> list[str]:
    """A word with its variables; one that is not set is nothing, as for systemd, and noted."""
    if word.startswith("$") and word[1:2] not in {"$", "{"}:
        if word[1:] not in setting.environment:
            missing.append(word[1:])
        return split_variable(setting.environment.get(word[1:], ""))

    def value(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        name = match[1][1:-1]
        if name not in setting.environment:
            missing.append(name)
        return setting.environment.get(name, "")

    return [_VARIABLE.sub(value, word)]


def _line(service: Service, setting: _Setting, command: Command) -> SourceCommand:
    account = command.account or setting.account
    return SourceCommand(
        replace(command, account=account),
        service.origin,
        name=service.name.instance or service.name.stem,
        folder=setting.folder,
        dropped=setting.dropped,
    )
