"""Writes words so that systemd reads them back as they were: systemd.syntax(7).

Pure text; what a unit consists of is not known here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9_./:=@%+,~^-]+")
_TOLD_APART = {"\\": "\\\\", '"': '\\"', "\t": "\\t"}
_NOT_IN_A_PROGRAM = frozenset("\"'\\\t")
"""What systemd refuses in the path of the program itself, however it is written."""


class UnquotableError(ValueError):
    """A text that no unit file can hold; the message says which and why."""


class Specifiers(str):
    """A word that systemd is to fill in: its %-specifiers are meant, and nothing is escaped."""

    __slots__ = ()


def command(words: Sequence[str]) -> str:
    """The value of ExecStart= for a program, which is an absolute path, and its arguments.

    Raises Unwritable.
    """
    program, *arguments = words
    if not isinstance(program, Specifiers):
        _check_program(program)
    line = " ".join([word(program), *map(word, arguments)])
    # A prefix of `:` keeps every `$` as it is; `$$` would not do for the program's own path.
    return f":{line}" if "$" in line else line


def word(text: str) -> str:
    """One word, in quotes where it needs them. It must not start a line of its own.

    Raises Unwritable.
    """
    if isinstance(text, Specifiers):
        return text
    escaped = specifier_free(text)
    if _NEEDS_NO_QUOTES.fullmatch(escaped):
        return escaped
    return '"' + "".join(_TOLD_APART.get(each, each) for each in escaped) + '"'


def specifier_free(text: str) -> str:
    """A value in which nothing is filled in, such as the address of ListenStream=.

    Raises Unwritable.
    """
    _check_characters(text)
    return text.replace("%", "%%")


def _check_characters(text: str) -> None:
    for each in text:
        if (each < " " and each != "\t") or each == "\x7f":
            raise UnquotableError(f"{text!r}: a control character cannot stand in a unit file")
        if "\ud800" <= each <= "\udfff":
            raise UnquotableError(f"{text!r}: a unit file is UTF-8, and this is not")


def _check_program(path: str) -> None:
    if not path.startswith("/"):
        raise UnquotableError(f"{path!r}: systemd wants the absolute path of a program")
    found = "".join(sorted(_NOT_IN_A_PROGRAM & set(path)))
    if found:
        raise UnquotableError(f"{path!r}: systemd starts no program with {found!r} in its path")
