"""The commands that a systemd service runs: its ExecStart= lines, fully expanded.

As in systemd.service(5) and systemd.exec(5), words are split first, then specifiers are expanded,
then variables: `$NAME` (a separate word, split again) and `${NAME}`. Pure: the caller passes the
files and the facts about the machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tunnelkeeper.importing.environment_file import parse_environment_file
from tunnelkeeper.importing.find_ssh_commands import find_ssh_commands, is_ssh_program
from tunnelkeeper.importing.source_commands import (
    Command,
    Finding,
    NotImportable,
    SourceCommand,
    UnreadableError,
)
from tunnelkeeper.importing.specifiers import Specifiers, UnitName, expand_specifiers
from tunnelkeeper.importing.unit_quoting import split_commands, split_variable, split_words
from tunnelkeeper.importing.unit_text import UnitText, parse_unit

_SERVICE = "Service"
_EXEC_PREFIXES = "@-:+!|"
_VARIABLE = re.compile(r"\$(\$|\{[A-Za-z_][A-Za-z0-9_]*\})")
_OTHER_COMMANDS = {
    "ExecStartPre": "on_up runs a program when the tunnel is up; no hook runs before that",
    "ExecStartPost": "on_up runs a program when the tunnel is up",
    "ExecStop": "the supervisor closes the connection itself",
    "ExecStopPost": "on_down runs a program when the tunnel goes down",
}
"""The other commands of a service, and what replaces them in the config file."""

ReadFile = Callable[[str], str]
"""Returns the text of a file. Raises OSError."""

HomeOf = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Service:
    """A unit of type service.

    origin: its description for messages. text: the file and its drop-ins. specifiers: their values.
    account: the user of the service manager, who also runs a service without User=. is_user:
    whether it belongs to a user's service manager.
    """

    name: UnitName
    origin: str
    text: str
    specifiers: Specifiers
    account: str
    is_user: bool


def find_service_commands(service: Service, read_file: ReadFile, home_of: HomeOf) -> list[Finding]:
    """Return the ssh and autossh commands that a service runs, and those not importable."""
    unit = parse_unit(service.text)
    try:
        context = _make_exec_context(service, unit, read_file, home_of)
        exec_start = [
            words for text in unit.values(_SERVICE, "ExecStart") for words in split_commands(text)
        ]
    except UnreadableError as error:
        return [NotImportable.because(service.origin, error)]
    findings: list[Finding] = []
    for words in exec_start:
        try:
            commands = _find_commands(words, context)
            findings += [_make_source_command(service, context, command) for command in commands]
        except UnreadableError as error:
            reason = f"ExecStart=: {error}"
            findings.append(NotImportable(service.origin, reason, hint=error.hint))
    return findings


@dataclass(frozen=True, slots=True)
class _ExecContext:
    """The execution context of a service. missing_files: unreadable environment files."""

    specifiers: Specifiers
    environment: Mapping[str, str]
    missing_files: tuple[str, ...]
    account: str
    working_directory: str
    notes: tuple[str, ...]


def _make_exec_context(
    service: Service, unit: UnitText, read_file: ReadFile, home_of: HomeOf
) -> _ExecContext:
    user = expand_specifiers(unit.value(_SERVICE, "User"), service.specifiers)
    account = user or service.account
    home = home_of(account) or "/"
    environment: dict[str, str] = {}
    if user or service.is_user:
        environment |= {"HOME": home, "LOGNAME": account, "USER": account}
    for text in unit.values(_SERVICE, "Environment"):
        for word in split_words(text):
            name, equals, value = expand_specifiers(word, service.specifiers).partition("=")
            if equals:
                environment[name] = value
    missing_files: list[str] = []
    for text in unit.values(_SERVICE, "EnvironmentFile"):
        path = expand_specifiers(text.removeprefix("-"), service.specifiers)
        try:
            environment |= parse_environment_file(read_file(path))
        except OSError:
            missing_files += [] if text.startswith("-") else [path]
    working_directory = expand_specifiers(
        unit.value(_SERVICE, "WorkingDirectory"), service.specifiers
    ).removeprefix("-")
    if working_directory in {"", "~"}:
        working_directory = home if working_directory or service.is_user else "/"
    return _ExecContext(
        service.specifiers,
        environment,
        tuple(missing_files),
        account,
        working_directory,
        tuple(_make_notes(unit, missing_files)),
    )


def _make_notes(unit: UnitText, missing_files: list[str]) -> list[str]:
    other_commands = [
        f"{key}={value}: {replacement}"
        for key, replacement in _OTHER_COMMANDS.items()
        for value in unit.values(_SERVICE, key)
    ]
    return [
        *other_commands,
        *(f"EnvironmentFile={path}: cannot be read" for path in missing_files),
    ]


def _find_commands(words: list[str], context: _ExecContext) -> list[Command]:
    """Return the ssh and autossh commands in a command of ExecStart=."""
    program = words[0].lstrip(_EXEC_PREFIXES)
    prefixes = words[0][: len(words[0]) - len(program)]
    expanded = [expand_specifiers(word, context.specifiers) for word in [program, *words[1:]]]
    if "@" in prefixes:  # the second word is argv[0]
        del expanded[1:2]
    arguments = expanded[1:]
    unset: list[str] = []
    if ":" not in prefixes:
        arguments = [
            part for word in arguments for part in _substitute_variables(word, context, unset)
        ]
    commands = find_ssh_commands([expanded[0], *arguments], context.environment)
    if unset and context.missing_files and (commands or any(map(is_ssh_program, expanded))):
        file = ", ".join(context.missing_files)
        raise UnreadableError(f"${unset[0]} may be set in {file}, which cannot be read")
    return commands


def _substitute_variables(word: str, context: _ExecContext, unset: list[str]) -> list[str]:
    """Expand the variables in a word. An unset one is empty, as in systemd, and is recorded."""
    if word.startswith("$") and word[1:2] not in {"$", "{"}:
        if word[1:] not in context.environment:
            unset.append(word[1:])
        return split_variable(context.environment.get(word[1:], ""))

    def value_of(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        name = match[1][1:-1]
        if name not in context.environment:
            unset.append(name)
        return context.environment.get(name, "")

    return [_VARIABLE.sub(value_of, word)]


def _make_source_command(
    service: Service, context: _ExecContext, command: Command
) -> SourceCommand:
    account = command.account or context.account
    return SourceCommand(
        replace(command, account=account),
        service.origin,
        name=service.name.instance or service.name.stem,
        working_directory=context.working_directory,
        notes=context.notes,
    )
