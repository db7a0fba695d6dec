"""Global options that are written after the command: they are moved to where they belong. Pure."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WITH_VALUE = ("--config", "--socket")
FLAGS = ("-v", "--verbose", "--version")
OWN_CONFIG = "relay"
"""The command that has a --config of its own. Its commands say so if it is misplaced."""


_CALL = re.compile(r"(?:^|(?<=`))tunnelkeeper (?=[a-z])(?!relay\b)")
"""The start of a call of a command, alone or in backticks."""


def files_named(arguments: Sequence[str]) -> list[str]:
    """Return the options before the command that name the config file or the socket."""
    before = list(arguments[: _index_of_command(arguments)])
    named: list[str] = []
    for index, word in enumerate(before):
        if word in WITH_VALUE:
            named += before[index : index + 2]
        elif word.startswith(tuple(f"{option}=" for option in WITH_VALUE)):
            named.append(word)
    return named


def in_hint(hint: str, options: Sequence[str]) -> str:
    """Return a hint whose calls have these options, so that they concern the same supervisor."""
    if not options or any(option in hint for option in WITH_VALUE):
        return hint
    return _CALL.sub(lambda call: f"{call[0]}{shlex.join(options)} ", hint)


def move_to_front(arguments: Sequence[str], option: str) -> list[str] | None:
    """Return a command line with a global option before the command.

    option: its name, which the command has refused. None: the option is not a global one, or is
    not written as a word of its own after the command.
    """
    command = _index_of_command(arguments)
    if command is None or (arguments[command] == OWN_CONFIG and option in WITH_VALUE):
        return None
    for index in range(command + 1, len(arguments)):
        word = arguments[index]
        if word == "--":
            return None
        is_joined = option in WITH_VALUE and word.startswith(f"{option}=")
        if is_joined or (word == option and option in (*WITH_VALUE, *FLAGS)):
            end = index + (1 if is_joined or option in FLAGS else 2)
            moved = arguments[index:end]
            return [*moved, *arguments[:index], *arguments[end:]]
    return None


def _index_of_command(arguments: Sequence[str]) -> int | None:
    """Return the index of the first word that is neither a global option nor its value."""
    index = 0
    while index < len(arguments):
        if not arguments[index].startswith("-"):
            return index
        index += 2 if arguments[index] in WITH_VALUE else 1
    return None
