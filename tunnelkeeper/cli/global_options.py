"""Global options that are written after the command: they are moved to where they belong. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WITH_VALUE = ("--config", "--socket")
FLAGS = ("-v", "--verbose", "--version")
OWN_CONFIG = "relay"
"""The command that has a --config of its own. Its commands say so if it is misplaced."""


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
