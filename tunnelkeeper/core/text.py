"""Formatting of untrusted text for a log or a screen. It does not interpret text."""

from __future__ import annotations

MESSAGE_LIMIT = 300
"""Characters kept of a peer's text. Banners and reasons are untrusted."""


RECORD_LIMIT = 6000
"""Characters kept of a log record. A failure fits, with its hint and two lists of algorithms."""


_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def printable(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return a peer's text made safe for a log or a screen: escaped, on one line, truncated.

    Characters that str.isprintable() rejects (controls, escapes, newlines, bidirectional marks,
    lone surrogates) become backslash escapes.
    """
    safe = _escape(text[: limit + 1])
    return safe if len(safe) <= limit else safe[: limit - 1] + _ELLIPSIS


def quoted(text: str, limit: int = MESSAGE_LIMIT) -> str:
    r"""Return a peer's text as printable() does, in single quotes.

    A quote in the text becomes \\', so that the text cannot end the quotes.
    """
    return "'" + printable(text.replace("\\", "\\\\").replace("'", "\\'"), limit) + "'"


def printable_end(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return a text as printable() does, but truncate its beginning.

    It suits the output of a program, whose last lines name the error.
    """
    safe = _escape(text[-limit - 1 :])
    return safe if len(safe) <= limit else _ELLIPSIS + safe[1 - limit :]


def _escape(text: str) -> str:
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
