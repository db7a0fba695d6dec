"""Reads a line of sh(1) into its simple commands, as far as lines that start tunnels go.

Quotes, variables that are known, assignments, lists, loops and redirections are understood; what
would have to be run to be known (`$(...)`, a here-document) makes its command unreadable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.importing.source_commands import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OPERATOR = re.compile(r"&&|\|\||;;|[;&|()\n]")
_REDIRECTION = re.compile(r"&>>?|<<-?|<>|[<>][&>|]?")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_KEYWORDS = frozenset(
    ["!", "{", "}", "do", "done", "elif", "else", "fi", "if", "then", "until", "while"]
)
_ESCAPED_IN_QUOTES = frozenset('"\\`$\n')


@dataclass(frozen=True, slots=True)
class Simple:
    """A simple command: its words, and the variables it runs with.

    why_not: why its words are not known for certain, or empty.
    """

    words: tuple[str, ...]
    variables: Mapping[str, str]
    why_not: str = ""


def simple_commands(text: str, variables: Mapping[str, str]) -> list[Simple]:
    """The commands of a text, in their order; what it assigns by itself holds from there on.

    Raises Unreadable for a quote that is not closed.
    """
    known = dict(variables)
    found: list[Simple] = []
    for raw in _split(text, known):
        words = list(raw.words)
        while words and words[0] in _KEYWORDS:
            words.pop(0)
        own: dict[str, str] = {}
        if words and words[0] == "export":
            words.pop(0)
        while words and (match := _ASSIGNMENT.fullmatch(words[0])):
            own[match[1]] = match[2]
            words.pop(0)
        if words:
            found.append(Simple(tuple(words), {**known, **own}, raw.why_not))
        else:
            known.update(own)  # _split() sees them too
    return found


@dataclass(slots=True)
class _Raw:
    words: list[str] = field(default_factory=list)
    why_not: str = ""


def _split(text: str, known: Mapping[str, str]) -> Iterator[_Raw]:
    """The words between operators, without redirections and their targets."""
    reader = _Reader(text, known)
    command = _Raw()
    skips_target = False
    while reader.find_next():
        if operator := reader.take(_OPERATOR):
            if operator != "&" or command.words:
                yield command
                command = _Raw()
        elif redirection := reader.take(_REDIRECTION):
            skips_target = True
            if redirection.startswith("<<"):
                command.why_not = "it reads a here-document"
        else:
            words, is_descriptor = reader.words(command)
            if skips_target or is_descriptor:
                skips_target = False
            else:
                command.words += words
    yield command


class _Reader:
    """A place in a text, moving on."""

    def __init__(self, text: str, known: Mapping[str, str]) -> None:
        self._text = text.replace("\\\n", "")
        self._known = known
        self._at = 0

    def find_next(self) -> bool:
        """Go past white space and comments; False at the end."""
        while self._at < len(self._text) and self._text[self._at] in " \t\r":
            self._at += 1
        if self._text.startswith("#", self._at):
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end
        return self._at < len(self._text)

    def take(self, pattern: re.Pattern[str]) -> str:
        """What matches here, which is then passed, or nothing."""
        match = pattern.match(self._text, self._at)
        if match is None or (pattern is _OPERATOR and self._text.startswith("&>", self._at)):
            return ""
        self._at = match.end()
        return match[0]

    def words(self, command: _Raw) -> tuple[list[str], bool]:
        """The words that begin here: one, but for a variable outside quotes.

        The second value: whether it is the number in front of a redirection.
        """
        start = self._at
        words = [""]
        is_word = False
        quote = ""
        while self._at < len(self._text):
            character = self._text[self._at]
            if not quote and character in " \t\r\n;&|()<>":
                break
            self._at += 1
            if quote == "'" and character != "'":
                words[-1] += character
            elif character == quote:
                quote = ""
            elif not quote and character in "\"'":
                quote, is_word = character, True
            elif character == "\\":
                words[-1] += self._escaped(quote)
                is_word = True
            elif character in "$`":
                value = self._expansion(character, command)
                if quote or not value.split():
                    words[-1] += value if quote else ""
                else:
                    first, *others = value.split()
                    words[-1] += first
                    words += others
            else:
                words[-1] += character
        if quote:
            raise UnreadableError(f"the quote {quote} is not closed")
        raw = self._text[start : self._at]
        is_descriptor = raw.isdecimal() and self._text[self._at : self._at + 1] in {"<", ">"}
        return [word for word in words if word or is_word], is_descriptor

    def _escaped(self, quote: str) -> str:
        following = self._text[self._at : self._at + 1]
        if quote and following not in _ESCAPED_IN_QUOTES:
            return "\\"
        self._at += 1
        return following

    def _expansion(self, sign: str, command: _Raw) -> str:
        match = _VARIABLE.match(self._text, self._at - 1) if sign == "$" else None
        if match is None:
            if sign == "$" and not re.match(r"[({0-9@*#?$!A-Za-z_-]", self._text[self._at :]):
                return "$"
            command.why_not = "it depends on what a shell has to find out"
            return ""
        self._at = match.end()
        name = match[1] or match[2]
        if name not in self._known:
            command.why_not = f"the variable {name} is set nowhere that can be read"
        return self._known.get(name, "")
