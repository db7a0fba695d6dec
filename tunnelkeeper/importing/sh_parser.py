"""Parser for the subset of sh(1) that start-up lines of tunnels use. It returns simple commands.

It supports quotes, known variables, assignments, lists, loops and redirections. It never runs
anything: a command with `$(...)` or a here-document is marked as unreadable.
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
_EXPANSION = re.compile(r"[({0-9@*#?$!A-Za-z_-]")  # after a $
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_KEYWORDS = frozenset(
    ["!", "{", "}", "do", "done", "elif", "else", "fi", "if", "then", "until", "while"]
)
_ESCAPED_IN_QUOTES = frozenset('"\\`$\n')


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """A simple command: its words and the variables it runs with.

    reason: why its words cannot be determined, or empty.
    """

    words: tuple[str, ...]
    variables: Mapping[str, str]
    reason: str = ""


def parse_simple_commands(text: str, variables: Mapping[str, str]) -> list[SimpleCommand]:
    """Return the commands of a text in order. An assignment applies to the commands after it.

    Raises UnreadableError if a quote is not closed.
    """
    known = dict(variables)
    commands: list[SimpleCommand] = []
    for raw in _split_commands(text, known):
        words = list(raw.words)
        while words and words[0] in _KEYWORDS:
            words.pop(0)
        assigned: dict[str, str] = {}
        if words and words[0] == "export":
            words.pop(0)
        while words and (match := _ASSIGNMENT.fullmatch(words[0])):
            assigned[match[1]] = match[2]
            words.pop(0)
        if words:
            commands.append(SimpleCommand(tuple(words), {**known, **assigned}, raw.reason))
        else:
            known.update(assigned)  # _split_commands() shares this dict
    return commands


@dataclass(slots=True)
class _RawCommand:
    words: list[str] = field(default_factory=list)
    reason: str = ""


def _split_commands(text: str, known: Mapping[str, str]) -> Iterator[_RawCommand]:
    """Yield the words between operators, without redirections and their targets."""
    scanner = _Scanner(text, known)
    command = _RawCommand()
    skips_target = False
    while scanner.skip_blanks():
        if operator := scanner.match(_OPERATOR):
            if operator != "&" or command.words:
                yield command
                command = _RawCommand()
        elif redirection := scanner.match(_REDIRECTION):
            skips_target = True
            if redirection.startswith("<<"):
                command.reason = "it reads a here-document"
        else:
            words, is_descriptor = scanner.read_words(command)
            if skips_target or is_descriptor:
                skips_target = False
            else:
                command.words += words
    yield command


class _Scanner:
    """A position in a text that advances as tokens are read."""

    def __init__(self, text: str, known: Mapping[str, str]) -> None:
        self._text = text.replace("\\\n", "")
        self._known = known
        self._offset = 0

    def skip_blanks(self) -> bool:
        """Skip white space and comments. Return False at the end of the text."""
        while self._offset < len(self._text) and self._text[self._offset] in " \t\r":
            self._offset += 1
        if self._text.startswith("#", self._offset):
            end = self._text.find("\n", self._offset)
            self._offset = len(self._text) if end < 0 else end
        return self._offset < len(self._text)

    def match(self, pattern: re.Pattern[str]) -> str:
        """Consume and return the text that matches at the offset, or return an empty string."""
        match = pattern.match(self._text, self._offset)
        if match is None or (pattern is _OPERATOR and self._text.startswith("&>", self._offset)):
            return ""
        self._offset = match.end()
        return match[0]

    def read_words(self, command: _RawCommand) -> tuple[list[str], bool]:
        """Read one word, or several if it has a variable outside quotes.

        The second value is whether the word is the file descriptor of a redirection.
        """
        start = self._offset
        words = [""]
        is_word = False
        quote = ""
        while self._offset < len(self._text):
            character = self._text[self._offset]
            if not quote and character in " \t\r\n;&|()<>":
                break
            self._offset += 1
            if quote == "'" and character != "'":
                words[-1] += character
            elif character == quote:
                quote = ""
            elif not quote and character in "\"'":
                quote, is_word = character, True
            elif character == "\\":
                words[-1] += self._read_escape(quote)
                is_word = True
            elif character in "$`":
                value = self._expand_variable(character, command)
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
        raw = self._text[start : self._offset]
        following = self._text[self._offset : self._offset + 1]
        is_descriptor = raw.isdecimal() and following in {"<", ">"}
        return [word for word in words if word or is_word], is_descriptor

    def _read_escape(self, quote: str) -> str:
        following = self._text[self._offset : self._offset + 1]
        if quote and following not in _ESCAPED_IN_QUOTES:
            return "\\"
        self._offset += 1
        return following

    def _expand_variable(self, sign: str, command: _RawCommand) -> str:
        match = _VARIABLE.match(self._text, self._offset - 1) if sign == "$" else None
        if match is None:
            if sign == "$" and not _EXPANSION.match(self._text, self._offset):
                return "$"
            command.reason = "its arguments depend on shell syntax that import does not evaluate"
            return ""
        self._offset = match.end()
        name = match[1] or match[2]
        if name not in self._known:
            command.reason = f"the value of the variable {name} is not known"
        return self._known.get(name, "")
