"""Splits the values of a unit file into words, as systemd.syntax(7) and systemd.service(5) have it.

Words are parted by white space, may be quoted, and have C's escapes; where systemd ignores a line
for a mistake in it, Unreadable says which. Specifiers and variables are filled in elsewhere.
"""

from __future__ import annotations

import re

from tunnelkeeper.importing.source_commands import UnreadableError

_WHITE = " \t\n\r"
_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "s": " ",
    **{character: character for character in "\\\"'"},
}
_NUMBER = re.compile(r"x([0-9A-Fa-f]{2})|([0-3][0-7]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})")


def split_words(text: str) -> list[str]:
    """The words of a value.

    Raises Unreadable.
    """
    words: list[str] = []
    at = _skip_white(text, 0)
    while at < len(text):
        word, at = _word(text, at)
        words.append(word)
        at = _skip_white(text, at)
    return words


def split_variable(text: str) -> list[str]:
    """The words of a variable that stands as a word by itself.

    A backslash only takes the meaning of what follows, and an open quote is no mistake.
    """
    words: list[str] = []
    at = _skip_white(text, 0)
    while at < len(text):
        word, at = _word(text, at, is_relaxed=True)
        words.append(word)
        at = _skip_white(text, at)
    return words


def split_commands(text: str) -> list[list[str]]:
    r"""The commands of an ExecStart=: a lone `;` parts them, and `\;` is a word.

    Raises Unreadable.
    """
    commands: list[list[str]] = [[]]
    at = _skip_white(text, 0)
    while at < len(text):
        if _stands_alone(text, at, ";"):
            commands.append([])
            at += 1
        elif _stands_alone(text, at, "\\;"):
            commands[-1].append(";")
            at += 2
        else:
            word, at = _word(text, at)
            commands[-1].append(word)
        at = _skip_white(text, at)
    return [command for command in commands if command]


def _word(text: str, at: int, *, is_relaxed: bool = False) -> tuple[str, int]:
    """The word that begins at a place, and the place behind it."""
    word, quote = "", ""
    while at < len(text) and (quote or text[at] not in _WHITE):
        character = text[at]
        at += 1
        if character == "\\" and is_relaxed:
            word += text[at : at + 1]
            at += 1
        elif character == "\\":
            decoded, at = _escape(text, at)
            word += decoded
        elif quote and character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
        else:
            word += character
    if quote and not is_relaxed:
        raise UnreadableError(f"the quote {quote} is not closed")
    return word, at


def _escape(text: str, at: int) -> tuple[str, int]:
    """What a backslash before this place stands for, and the place behind it."""
    if text[at : at + 1] in _ESCAPES and at < len(text):
        return _ESCAPES[text[at]], at + 1
    match = _NUMBER.match(text, at)
    if match is None:
        raise UnreadableError(f"there is no escape {text[at - 1 : at + 1]!r} in unit files")
    hexadecimal, octal, *unicode = match.groups()
    number = int(octal, 8) if octal else int(hexadecimal or next(filter(None, unicode)), 16)
    if number == 0 or number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise UnreadableError(f"the escape \\{match[0]} is no character")
    return chr(number), match.end()


def _stands_alone(text: str, at: int, word: str) -> bool:
    end = at + len(word)
    return text.startswith(word, at) and (end == len(text) or text[end] in _WHITE)


def _skip_white(text: str, at: int) -> int:
    while at < len(text) and text[at] in _WHITE:
        at += 1
    return at
