"""Matches a text against one pattern of ssh_config(5), PATTERNS; lists and negation are not its."""

from __future__ import annotations

import string

# Not str.lower(): it maps the Kelvin sign to "k", so one host could pass for another.
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def ascii_lower(host: str) -> str:
    """A host in lower case, as those that differ only in ASCII case are the same."""
    return host.translate(_ASCII_LOWER)


def matches(text: str, pattern: str) -> bool:
    """Whether a whole text fits a pattern with `*` and `?` (match_pattern() in match.c)."""
    at = 0  # in the pattern
    star = -1  # the last `*` passed
    resume = 0  # where in the text that star's run ends, as tried last
    position = 0
    # Going back to the last star only keeps the work at len(text) * len(pattern) at most,
    # whatever a client asks for; a regular expression of many stars would not.
    while position < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in {"?", text[position]}:
            at += 1
            position += 1
        elif star >= 0:
            resume += 1
            at, position = star + 1, resume
        else:
            return False
    return not pattern[at:].strip("*")
