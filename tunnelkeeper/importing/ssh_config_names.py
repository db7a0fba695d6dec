"""The host names and the included files in the text of an ssh_config.

Only the names in `Host` and `Match host` are read; `ssh -G` resolves the settings of a host.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

_WORD = re.compile(r"""(?:"(?P<quoted>[^"]*)"?|(?P<word>\S+))\s*""")
_WILDCARDS = frozenset("*?")


@dataclass(slots=True)
class HostNames:
    """The names in an ssh_config.

    hosts: in the order of the text. patterns: names with wildcards. includes: paths as written.
    """

    hosts: list[str] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    includes: list[str] = field(default_factory=list)


def parse_host_names(text: str) -> HostNames:
    """Return the names in a text. Negated patterns (`!name`) are left out."""
    found = HostNames()
    for line in text.splitlines():
        keyword, *words = _split_line(line) or [""]
        match keyword.lower():
            case "host":
                _add_names(words, found)
            case "match":
                for criterion, value in itertools.pairwise(words):
                    if criterion.lower() in {"host", "originalhost"}:
                        _add_names(value.split(","), found)
            case "include":
                found.includes += words
    return found


def _add_names(words: list[str], found: HostNames) -> None:
    for word in words:
        if not word or word.startswith("!"):
            continue
        (found.hosts if _WILDCARDS.isdisjoint(word) else found.patterns).append(word)


def _split_line(line: str) -> list[str]:
    """Split a line into keyword and arguments, separated by space or `=` (ssh_config(5))."""
    rest = line.strip()
    if rest.startswith("#"):
        return []
    end = next((at for at, c in enumerate(rest) if c in " \t="), len(rest))
    words = [rest[:end]]
    rest = rest[end:].lstrip(" \t").removeprefix("=").lstrip(" \t")
    position = 0
    while (match := _WORD.match(rest, position)) and not rest.startswith("#", position):
        words.append(match["word"] if match["quoted"] is None else match["quoted"])
        position = match.end()
    return words
