"""Reads the text of an EnvironmentFile=, as systemd.exec(5) has it: not quite a shell's.

Lines `NAME=value`; comments begin with `#` or `;`. Quotes and backslashes are a shell's, nothing is
expanded, and a line that is no assignment is passed over.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED_IN_QUOTES = frozenset('"\\`$')


def read_environment(text: str) -> dict[str, str]:
    """The variables that a text sets."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        end = _end_of_line(text, at)
        line = text[at:end].lstrip()
        name, equals, _ = line.partition("=")
        if line.startswith(("#", ";")) or not equals or not _NAME.fullmatch(name.strip()):
            at = end + 1
            continue
        value, at = _value(text, text.index("=", at) + 1)
        found[name.strip()] = value
    return found


def _value(text: str, at: int) -> tuple[str, int]:
    """The value that begins here, and where the next line begins.

    A quote counts at the beginning and right behind another quoted part: env-file.c.
    """
    value, end = "", 0  # end: of what counts, as white space at the end of a line does not
    quote, is_bare = "", False
    while at < len(text):
        character = text[at]
        at += 1
        if character == "\n" and not quote:
            break
        if character == "\\" and quote != "'":
            following = text[at : at + 1]
            at += 1
            is_bare = is_bare or not quote
            if following != "\n":
                keeps = quote and following not in _ESCAPED_IN_QUOTES
                value += f"\\{following}" if keeps else following
            end = len(value)
        elif quote and character == quote:
            quote = ""
        elif not quote and not is_bare and character in "\"'":
            quote = character
        elif quote or is_bare or not character.isspace():
            value += character
            is_bare = is_bare or not quote
            end = len(value) if quote or not character.isspace() else end
    return value[:end], at


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
