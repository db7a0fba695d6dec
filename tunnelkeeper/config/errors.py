"""What is wrong with a config file, and how it is said; nothing here finds anything."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, time
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

KeyPath = tuple[str | int, ...]
"""A place in the document: keys, and the indices of arrays, from the top."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")  # TOML 1.0, "Keys"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file. line starts at 1; None: it is about the whole file.

    key: the place as `tunnels.db.local[0]`, or empty. path: the file, as the caller named it.
    """

    path: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        file = printable(self.path, 4096)
        where = file if self.line is None else f"{file}:{self.line}"
        return ": ".join(part for part in (where, self.key, self.message) if part)


class ConfigError(Exception):
    """A config file cannot be used. problems: all of them, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class ValueProblem:
    """Something wrong at a place of the document, before anybody knows its line."""

    at: KeyPath
    message: str


class ValueRefusedError(Exception):
    """A value is not what its key takes. faults: what is wrong, each at its place in the value."""

    def __init__(self, *faults: ValueProblem) -> None:
        self.faults = faults
        super().__init__("; ".join(fault.message for fault in faults))


def under(at: KeyPath, faults: Iterable[ValueProblem]) -> list[ValueProblem]:
    """The faults of a value as seen from the table or array that holds it at a place."""
    return [ValueProblem(at + fault.at, fault.message) for fault in faults]


def refused(message: str) -> ValueRefusedError:
    """The error for a value that is wrong as a whole."""
    return ValueRefusedError(ValueProblem((), message))


def mismatch(expected: str, value: object, advice: str = "") -> ValueRefusedError:
    """The error that names what was expected and what was found, and perhaps what to write."""
    message = f"expected {expected}, got {found(value)}"
    return refused(f"{message}; {advice}" if advice else message)


def found(value: object) -> str:
    """A value of the document as an error shows it: short, on one line, as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case int() if value.bit_length() > 64:  # TOML promises no more, and str() may refuse it
            return "a number beyond 64 bits"
        case dict():
            return "a table"
        case list():
            return "a list"
        case date() | time():
            return value.isoformat()
    return printable(repr(value), 80)


def printed(at: KeyPath) -> str:
    """A place as a person reads it: `tunnels.db.local[0]`, odd keys in quotes."""
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
