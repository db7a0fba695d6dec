"""Parser for the text of an EnvironmentFile= as systemd.exec(5) defines it.

Lines are `NAME=value`; comments begin with `#` or `;`. Quotes and backslashes work as in a shell,
nothing is expanded, and a line that is not an assignment is ignored.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED_IN_QUOTES = frozenset('"\\`$')


def parse_environment_file(text: str) -> dict[str, str]:
    """Return the variables that a text sets."""
    variables: dict[str, str] = {}
    offset = 0
    while offset < len(text):
        end = _end_of_line(text, offset)
        line = text[offset:end].lstrip()
        name, equals, _ = line.partition("=")
        if line.startswith(("#", ";")) or not equals or not _NAME.fullmatch(name.strip()):
            offset = end + 1
            continue
        value, offset = _read_value(text, text.index("=", offset) + 1)
        variables[name.strip()] = value
    return variables


def _read_value(text: str, offset: int) -> tuple[str, int]:
    """Return the value that starts at an offset, and the offset of the next line.

    A quote is special only at the start of the value and directly after another quoted part, as in
    systemd's env-file.c.
    """
    value, end = "", 0  # end: excludes white space at the end of the line
    quote, is_bare = "", False
    while offset < len(text):
        character = text[offset]
        offset += 1
        if character == "\n" and not quote:
            break
        if character == "\\" and quote != "'":
            following = text[offset : offset + 1]
            offset += 1
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
    return value[:end], offset


def _end_of_line(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end
