"""Limits of a TOML text, checked before tomllib parses it.

The time that tomllib needs grows with the square of the parts of a key, and its stack with the
depth of brackets. This walks over the tokens of a text once and interprets no value.
"""

from __future__ import annotations

import re

SIZE_LIMIT = 2 * 1024 * 1024
"""Maximum bytes of a file: twenty thousand tunnels."""

MAX_PARTS = 32
"""Parts of a dotted key. The deepest key that tunnelkeeper knows has five."""

MAX_DEPTH = 32
"""Brackets inside each other."""

MAX_TOKENS = 200_000
"""Keys, values and brackets. Each costs more memory than its text."""

# An unterminated string ends with its line, or with the text. Otherwise each quote after it would
# search the whole text for its end. tomllib reports it.
_PART = r"""[A-Za-z0-9_-]+|"(?:\\[^\n]|[^"\\\n])*+(?:"|\\?(?=\n|\Z))|'[^'\n]*+(?:'|(?=\n|\Z))"""
_TOKEN = re.compile(
    rf'''\#[^\n]*
    |"""(?:\\.|[^\\])*?(?:"{{3,5}}|\\?\Z)
    |\'\'\'.*?(?:'{{3,5}}|\Z)
    |(?P<key>(?:{_PART})(?:[ \t]*\.[ \t]*(?:{_PART}))*)
    |(?P<open>[\[{{])
    |(?P<close>[\]}}])''',
    re.DOTALL | re.VERBOSE,
)
_SEPARATED_PART = re.compile(rf"[ \t]*\.?[ \t]*(?:{_PART})")


def limit_problem(text: str) -> tuple[int, str] | None:
    """Return the line, from 1, and the message of the first limit that a text exceeds, or None."""
    depth = tokens = 0
    for match in _TOKEN.finditer(text):
        message = ""
        match match.lastgroup:
            case "key":
                if _count_parts(match["key"]) > MAX_PARTS:
                    message = f"a key has more than {MAX_PARTS} parts"
            case "open":
                depth += 1
                if depth > MAX_DEPTH:
                    message = "brackets are nested too deeply"
            case "close":
                depth -= 1
                continue
        tokens += 1
        if tokens > MAX_TOKENS:
            message = f"the file has more than {MAX_TOKENS} keys and values"
        if message:
            return text.count("\n", 0, match.start()) + 1, message
    return None


def _count_parts(key: str) -> int:
    """Return the number of parts of a dotted key; at most MAX_PARTS + 1."""
    if key.count(".") < MAX_PARTS:
        return 1
    count = position = 0
    while count <= MAX_PARTS and (match := _SEPARATED_PART.match(key, position)):
        count, position = count + 1, match.end()
    return count
