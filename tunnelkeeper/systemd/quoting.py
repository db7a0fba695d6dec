"""Quoting of words for unit files, so that systemd reads them back unchanged: systemd.syntax(7).

Pure text; it does not know the structure of units.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9_./:=@%+,~^-]+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\t": "\\t"}
_NOT_IN_A_PROGRAM = frozenset("\"'\\\t")
"""Characters that systemd refuses in the path of a program, quoted or not."""


class UnquotableError(ValueError):
    """A text that a unit file cannot contain. hint: what to do about it, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Specifiers(str):
    """A word with %-specifiers that systemd expands. It is not escaped."""

    __slots__ = ()


def quote_command(words: Sequence[str]) -> str:
    """Return the value of ExecStart= for a program, an absolute path, and its arguments.

    Raises UnquotableError.
    """
    program, *arguments = words
    if not isinstance(program, Specifiers):
        _check_program(program)
    line = " ".join([quote_word(program), *map(quote_word, arguments)])
    # The prefix `:` keeps every `$`. `$$` does not work in the path of the program.
    return f":{line}" if "$" in line else line


def quote_word(text: str) -> str:
    """Return a word, quoted if necessary. It must not begin a line.

    Raises UnquotableError.
    """
    if isinstance(text, Specifiers):
        return text
    escaped = escape_specifiers(text)
    if _NEEDS_NO_QUOTES.fullmatch(escaped):
        return escaped
    return '"' + "".join(_ESCAPES.get(each, each) for each in escaped) + '"'


def escape_specifiers(text: str) -> str:
    """Return a value without specifiers, such as the address of ListenStream=.

    Raises UnquotableError.
    """
    _check_characters(text)
    return text.replace("%", "%%")


def _check_characters(text: str) -> None:
    for each in text:
        if (each < " " and each != "\t") or each == "\x7f":
            raise UnquotableError(f"{text!r}: a unit file cannot contain a control character")
        if "\ud800" <= each <= "\udfff":
            raise UnquotableError(f"{text!r}: a unit file is UTF-8, and this is not")


def _check_program(path: str) -> None:
    if not path.startswith("/"):
        raise UnquotableError(f"{path!r}: systemd needs the absolute path of a program")
    found = "".join(sorted(_NOT_IN_A_PROGRAM & set(path)))
    if found:
        raise UnquotableError(f"{path!r}: systemd starts no program with {found!r} in its path")
