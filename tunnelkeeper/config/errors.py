"""Problems of a config file, and how they are printed. It finds none itself."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import date, time
from typing import TYPE_CHECKING

from tunnelkeeper.core.message import Message
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

KeyPath = tuple[str | int, ...]
"""The path of a value in the document: keys and array indices from the top."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")  # TOML 1.0, "Keys"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a file. line: from 1, or None for the whole file.

    key: the key path, such as `tunnels.db.local[0]`, or empty. path: as the caller named the file.
    hint: what to do about it, or empty. key_path: the key path for programs.
    """

    path: str
    line: int | None
    key: str
    message: str
    hint: str = ""
    key_path: KeyPath = ()

    @property
    def full_message(self) -> Message:
        """The problem with its place, and its hint."""
        return Message(str(self), self.hint)

    def __str__(self) -> str:
        file = printable(self.path, 4096)
        where = file if self.line is None else f"{file}:{self.line}"
        return ": ".join(part for part in (where, self.key, self.message) if part)


class ConfigError(Exception):
    """A config file that cannot be used. problems: all of them, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.lines))

    @property
    def messages(self) -> tuple[Message, ...]:
        """The problems with their places and hints."""
        return tuple(problem.full_message for problem in self.problems)

    @property
    def lines(self) -> list[str]:
        """The lines of all problems, to print."""
        return [line for message in self.messages for line in message.lines]


@dataclass(frozen=True, slots=True)
class ValueProblem:
    """A problem at a key path, before its line is known. hint: what to do about it, or empty."""

    key_path: KeyPath
    message: str
    hint: str = ""


class InvalidValueError(Exception):
    """A value that its key does not accept. problems: each with its path inside the value."""

    def __init__(self, *problems: ValueProblem) -> None:
        self.problems = problems
        super().__init__("; ".join(problem.message for problem in problems))


def prefixed(at: KeyPath, problems: Iterable[ValueProblem]) -> list[ValueProblem]:
    """Return the problems of a value with the key path of that value in front."""
    return [replace(problem, key_path=at + problem.key_path) for problem in problems]


def value_error(message: str, hint: str = "") -> InvalidValueError:
    """Return the error for a value that is wrong as a whole."""
    return InvalidValueError(ValueProblem((), message, hint))


def mismatch(expected: str, value: object, hint: str = "") -> InvalidValueError:
    """Return an error that names what was expected, what was found, and optionally what to do."""
    return value_error(f"expected {expected}, got {format_value(value)}", hint)


def format_value(value: object) -> str:
    """Return a value as an error shows it: short, on one line, in TOML syntax."""
    match value:
        case bool():
            return str(value).lower()
        case int() if value.bit_length() > 64:  # TOML guarantees no more, and str() may refuse it
            return "a number beyond 64 bits"
        case dict():
            return "a table"
        case list():
            return "a list"
        case date() | time():
            return value.isoformat()
    return printable(repr(value), 80)


def format_key_path(at: KeyPath) -> str:
    """Return a key path as text: `tunnels.db.local[0]`. Keys that need quotes have them."""
    text = ""
    for part in at:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = (
                part
                if _BARE_KEY.fullmatch(part)
                else printable(json.dumps(part, ensure_ascii=False), 80)
            )
            text += f".{shown}" if text else shown
    return text
