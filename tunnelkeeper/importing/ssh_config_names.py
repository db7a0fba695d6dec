"""Finds the host names in the text of an ssh_config, and the files that it includes.

Only names are read, of `Host` and `Match host`; what holds for a name is asked of `ssh -G`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

_WILDCARDS = frozenset("*?")


@dataclass(slots=True)
class Names:
    """hosts: in the order of the text. patterns: names with wildcards. includes: as written."""

    hosts: list[str] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    includes: list[str] = field(default_factory=list)


def names_in(text: str) -> Names:
    """The names of a text. A negated pattern (`!name`) is none."""
    found = Names()
    for line in text.splitlines():
        keyword, *words = _words(line) or [""]
        match keyword.lower():
            case "host":
                _sort(words, found)
            case "match":
                for criterion, value in itertools.pairwise(words):
                    if criterion.lower() in {"host", "originalhost"}:
                        _sort(value.split(","), found)
            case "include":
                found.includes += words
    return found


def _sort(words: list[str], found: Names) -> None:
    for word in words:
        if not word or word.startswith("!"):
            continue
        (found.hosts if _WILDCARDS.isdisjoint(word) else found.patterns).append(word)


def _words(line: str) -> list[str]:
    """The words of a line: ssh_config(5) parts keyword and arguments by white space or `=`."""
    rest = line.strip()
    if rest.startswith("#"):
        return []
    end = next((at for at, c in enumerate(rest) if c in " \t="), len(rest))
    words = [rest[:end]]
    rest = rest[end:].lstrip(" \t").removeprefix("=").lstrip(" \t")
    while rest and not rest.startswith("#"):
        if rest.startswith('"'):
            word, _, rest = rest[1:].partition('"')
        else:
            word, *others = rest.split(None, 1)
            rest = others[0] if others else ""
        words.append(word)
        rest = rest.lstrip(" \t")
    return words
