"""Splitting of unit file values into words, see systemd.syntax(7) and systemd.service(5).

Words are separated by white space, may be quoted, and have C escapes. If systemd would ignore the
line because of a syntax error, UnreadableError names it. Specifiers and variables are not expanded.
"""

from __future__ import annotations

import re

from tunnelkeeper.importing.source_commands import UnreadableError

_WHITESPACE = " \t\n\r"
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
_NUMERIC_ESCAPE = re.compile(
    r"x([0-9A-Fa-f]{2})|([0-3][0-7]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})"
)


def split_words(text: str) -> list[str]:
    """Return the words of a value.

    Raises UnreadableError on a syntax error.
    """
    words: list[str] = []
    offset = _skip_whitespace(text, 0)
    while offset < len(text):
        word, offset = _read_word(text, offset)
        words.append(word)
        offset = _skip_whitespace(text, offset)
    return words


def split_variable(text: str) -> list[str]:
    """Return the words in the value of a `$NAME` that is a separate word.

    A backslash makes the next character literal, and an open quote is not an error.
    """
    words: list[str] = []
    offset = _skip_whitespace(text, 0)
    while offset < len(text):
        word, offset = _read_word(text, offset, is_relaxed=True)
        words.append(word)
        offset = _skip_whitespace(text, offset)
    return words


def split_commands(text: str) -> list[list[str]]:
    r"""Return the commands of an ExecStart=. A single `;` separates them, and `\;` is a word.

    Raises UnreadableError on a syntax error.
    """
    commands: list[list[str]] = [[]]
    offset = _skip_whitespace(text, 0)
    while offset < len(text):
        if _stands_alone(text, offset, ";"):
            commands.append([])
            offset += 1
        elif _stands_alone(text, offset, "\\;"):
            commands[-1].append(";")
            offset += 2
        else:
            word, offset = _read_word(text, offset)
            commands[-1].append(word)
        offset = _skip_whitespace(text, offset)
    return [command for command in commands if command]


def _read_word(text: str, offset: int, *, is_relaxed: bool = False) -> tuple[str, int]:
    """Return the word that starts at an offset, and the offset after it."""
    word, quote = "", ""
    while offset < len(text) and (quote or text[offset] not in _WHITESPACE):
        character = text[offset]
        offset += 1
        if character == "\\" and is_relaxed:
            word += text[offset : offset + 1]
            offset += 1
        elif character == "\\":
            decoded, offset = _read_escape(text, offset)
            word += decoded
        elif quote and character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
        else:
            word += character
    if quote and not is_relaxed:
        raise UnreadableError(f"the quote {quote} is not closed")
    return word, offset


def _read_escape(text: str, offset: int) -> tuple[str, int]:
    """Return the character for the escape after a backslash, and the offset after it."""
    if text[offset : offset + 1] in _ESCAPES and offset < len(text):
        return _ESCAPES[text[offset]], offset + 1
    match = _NUMERIC_ESCAPE.match(text, offset)
    if match is None:
        raise UnreadableError(f"unknown escape {text[offset - 1 : offset + 1]!r} in a unit file")
    hexadecimal, octal, *unicode = match.groups()
    number = int(octal, 8) if octal else int(hexadecimal or next(filter(None, unicode)), 16)
    if number == 0 or number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise UnreadableError(f"the escape \\{match[0]} is not a valid character")
    return chr(number), match.end()


def _stands_alone(text: str, offset: int, word: str) -> bool:
    end = offset + len(word)
    return text.startswith(word, offset) and (end == len(text) or text[end] in _WHITESPACE)


def _skip_whitespace(text: str, offset: int) -> int:
    while offset < len(text) and text[offset] in _WHITESPACE:
        offset += 1
    return offset
