"""Names of tunnels on a command line: names, and patterns as a shell has them (`eu-*`, `db[12]`).

A name has no `*`, `?` or `[`, so a word is one or the other.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_WILDCARDS = frozenset("*?[")


class NoMatchError(ValueError):
    """No tunnel matches a pattern. pattern: as written."""

    def __init__(self, pattern: str) -> None:
        super().__init__(f"no tunnel matches {pattern!r}")
        self.pattern = pattern


def is_pattern(word: str) -> bool:
    """Return whether a word stands for all names that it matches."""
    return not _WILDCARDS.isdisjoint(word)


def expand_patterns(words: Iterable[str], names: Collection[str]) -> list[str]:
    """Return each word, with a pattern replaced by the names that it matches; no word twice.

    The words of a pattern are in the order of the names. A word that is no pattern may be unknown.
    Raises NoMatchError.
    """
    expanded: dict[str, None] = {}
    for word in words:
        found = [name for name in names if fnmatchcase(name, word)] if is_pattern(word) else [word]
        if not found:
            raise NoMatchError(word)
        expanded.update(dict.fromkeys(found))
    return list(expanded)


def matches_any(name: str, words: Iterable[str]) -> bool:
    """Return whether a name is one of these words, or matches one that is a pattern."""
    return any(fnmatchcase(name, word) if is_pattern(word) else name == word for word in words)
