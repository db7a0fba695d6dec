"""What the next word of an unfinished command line of autossh or ssh can be, for completion."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from tunnelkeeper.autossh.command_line import MONITOR, STRICT
from tunnelkeeper.autossh.options import OPTIONS, Support

if TYPE_CHECKING:
    from collections.abc import Sequence

_FILES = frozenset("EFISi")
"""Options of ssh(1) whose value is a file."""


class WordKind(Enum):
    """A kind of word."""

    HOST = auto()
    FILE = auto()
    OTHER = auto()
    """A value that cannot be guessed, such as a forward, or a word of the remote command."""


def next_word_kind(arguments: Sequence[str]) -> WordKind:
    """Return what follows these complete arguments. An option may stand there as well."""
    awaited = ""
    has_host = ends_options = False
    for argument in arguments:
        if awaited:
            awaited = ""
        elif argument == "--" and not ends_options:
            ends_options = True
        elif argument.startswith("-") and not ends_options:
            awaited = _awaited_option(argument)
        elif has_host:
            return WordKind.OTHER
        else:
            has_host = True
    if awaited:
        return _value_kind(awaited)
    return WordKind.OTHER if has_host else WordKind.HOST


def option_words(*, is_first: bool) -> list[str]:
    """Return the options that have an effect. is_first: they would begin the command line."""
    letters = [letter for letter, rule in OPTIONS.items() if rule.support is Support.HONOURED]
    own = [STRICT] if is_first else []
    return own + sorted(f"-{letter}" for letter in {*letters, MONITOR, "V", "h"})


def _awaited_option(argument: str) -> str:
    """Return the letter of an option whose value is the next argument, or an empty string."""
    if argument.startswith("--"):
        return ""
    for position, letter in enumerate(argument[1:], 2):
        rule = OPTIONS.get(letter)
        if letter == MONITOR or (rule and rule.takes_value):  # the rest is its value
            return letter if position == len(argument) else ""
    return ""


def _value_kind(letter: str) -> WordKind:
    if letter in _FILES:
        return WordKind.FILE
    return WordKind.HOST if letter == "J" else WordKind.OTHER
