"""Matching of one pattern of ssh_config(5), PATTERNS. It handles no lists and no negation."""

from __future__ import annotations

import string

# Not str.lower(): it maps the Kelvin sign to "k", so one host could pass for another.
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def ascii_lower(host: str) -> str:
    """Return a host in ASCII lower case. Hosts that differ only in ASCII case are the same."""
    return host.translate(_ASCII_LOWER)


def matches(text: str, pattern: str) -> bool:
    """Return whether a text matches a pattern with `*` and `?` (match_pattern() in match.c)."""
    at = 0  # position in the pattern
    star = -1  # the last `*` passed
    resume = 0  # position in the text where that star's match ends
    position = 0
    # Backtracking to the last star only limits the work to len(text) * len(pattern) for any input
    # of a client. A regular expression with many stars does not.
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
