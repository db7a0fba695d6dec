"""Text made safe and complete for a log or a screen. It decides nothing about its content."""

from __future__ import annotations

MESSAGE_LIMIT = 300
"""Characters of another side's words that are kept; banners and reasons are untrusted."""


def with_hint(message: str, hint: str) -> str:
    """What is wrong and, in brackets, what to do about it, where that is known."""
    return f"{message} ({hint})" if hint else message


def printable(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Another side's text made safe for a log or a screen: escaped, on one line, and cut.

    Whatever str.isprintable() does not accept (controls, escapes, newlines, bidirectional marks,
    lone surrogates) is shown as a backslash escape.
    """
    cut = text[: limit + 1]
    safe = "".join(c if c.isprintable() else _escaped(c) for c in cut)
    return safe if len(safe) <= limit else safe[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
