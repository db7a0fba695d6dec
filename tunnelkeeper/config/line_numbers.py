"""Line numbers of the keys of a TOML text, which tomllib does not report.

It walks a text that tomllib has accepted, so it checks nothing.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from tunnelkeeper.config.errors import KeyPath

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"\\]*(?:\\.[^"\\]*)*"|'[^']*'""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_SCALAR = re.compile(
    r'''"""(?:\\.|[^\\])*?"{3,5}'''  # up to two quotes can precede the closing three
    r"""|'''.*?'{3,5}"""
    r"""|"[^"\\]*(?:\\.[^"\\]*)*"|'[^']*'"""
    r"""|[^,\]}#\n]*""",
    re.DOTALL,
)


def line_numbers(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of every key, table and array element of a valid TOML text.

    A table that is opened several times (by a dotted key, or by a table below it) has the line of
    its own header, or else of its first mention.
    """
    return _Walk(text).lines


class Statement(Struct, frozen=True):
    """A header or a key with its value, outside inline tables. first, last: its lines, from 1.

    path: of the table or the key; an element of an array of tables has its index.
    """

    path: KeyPath
    is_header: bool
    first: int
    last: int


def statements(text: str) -> list[Statement]:
    """Return the headers and the keys of a valid TOML text, in its order."""
    return _Walk(text).statements


class _Walk:
    """One pass over a text. lines, statements: the results."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.statements: list[Statement] = []
        self._text = text
        self._position = 0
        self._line_ends = [match.start() for match in re.finditer("\n", text)]
        self._last_element: dict[KeyPath, int] = {}  # of each [[array of tables]]
        table: KeyPath = ()
        self._take(_BLANK)
        while self._position < len(text):
            table = self._statement(table)
            self._take(_BLANK)

    def _statement(self, table: KeyPath) -> KeyPath:
        """Read a header, or a key of a table. Return the table of the keys that follow."""
        first, is_header = self._line(), self._at("[")
        path = self._header() if is_header else self._pair(table)
        self.statements.append(Statement(path, is_header, first, self._line()))
        return path if is_header else table

    def _header(self) -> KeyPath:
        """Read [table] or [[array of tables]]. Return the path of the keys that follow."""
        line = self._line()
        brackets = 2 if self._at("[[") else 1
        self._skip(brackets)
        *parents, name = self._key()
        self._skip_past("]" * brackets)
        path: KeyPath = ()
        for parent in parents:
            path = self._current((*path, parent))
            self.lines.setdefault(path, line)
        path = (*path, name)
        if brackets == 2:
            self.lines.setdefault(path, line)
            self._last_element[path] = self._last_element.get(path, -1) + 1
            path = self._current(path)
        self.lines[path] = line
        return path

    def _current(self, path: KeyPath) -> KeyPath:
        """Return the path of the last element if a header's name is an array of tables."""
        last = self._last_element.get(path)
        return path if last is None else (*path, last)

    def _pair(self, table: KeyPath) -> KeyPath:
        """Read `key = value` inside a table. Return the path of the key."""
        line = self._line()
        path = table
        for part in self._key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self._take(_EQUALS)
        self._value(path)
        return path

    def _key(self) -> list[str]:
        """Read a dotted key, its quoted parts decoded."""
        self._take(_BLANK)
        parts = [_decoded(self._take(_KEY_PART))]
        while self._take(_DOT):
            parts.append(_decoded(self._take(_KEY_PART)))
        return parts

    def _value(self, path: KeyPath) -> None:
        if self._at("["):
            self._array(path)
        elif self._at("{"):
            self._inline_table(path)
        else:
            self._take(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        index = 0
        while self._has_next("]"):
            element = (*path, index)
            self.lines[element] = self._line()
            self._value(element)
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        while self._has_next("}"):
            self._pair(path)

    def _has_next(self, end: str) -> bool:
        """Skip the opening bracket or a comma. Return False, past the end, if nothing follows."""
        self._take(_BLANK)
        if not self._at(end):
            self._skip(1)
            self._take(_BLANK)
        if self._at(end):
            self._skip(1)
            return False
        return True

    def _line(self) -> int:
        return bisect_left(self._line_ends, self._position) + 1

    def _at(self, text: str) -> bool:
        return self._text.startswith(text, self._position)

    def _take(self, pattern: re.Pattern[str]) -> str:
        """Return the match at this position and move past it; an empty string without a match."""
        match = pattern.match(self._text, self._position)
        if match is None:
            return ""
        self._position = match.end()
        return match.group()

    def _skip(self, characters: int) -> None:
        self._position += characters

    def _skip_past(self, text: str) -> None:
        self._position = self._text.index(text, self._position) + len(text)


def _decoded(part: str) -> str:
    """Return a key without its quotes and escapes."""
    if not part.startswith(('"', "'")):
        return part
    decoded: str = tomllib.loads(f"key = {part}")["key"]
    return decoded
