"""Reads the text of a unit file with its drop-ins: sections, keys and values, in their order.

The format is that of systemd.syntax(7): a backslash at the end of a line goes on with the next one
that is no comment. What the keys mean is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

_COMMENTS = ("#", ";")


@dataclass(frozen=True, slots=True)
class Assignment:
    """A line `key=value` below a section's header."""

    section: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class UnitText:
    """What a unit says; drop-ins come after what they add to."""

    assignments: tuple[Assignment, ...]

    def values(self, section: str, key: str) -> list[str]:
        """All values of a key; an empty one takes back those before it."""
        found: list[str] = []
        for each in self.assignments:
            if (each.section, each.key) == (section, key):
                found = [*found, each.value] if each.value else []
        return found

    def value(self, section: str, key: str) -> str:
        """The last value of a key, or nothing."""
        return next(iter(self.values(section, key)[-1:]), "")


def read_unit(text: str) -> UnitText:
    """Read the text. What is no assignment is passed over, as systemd does with a warning."""
    section = ""
    found: list[Assignment] = []
    for line in _logical_lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif "=" in line:
            key, _, value = line.partition("=")
            found.append(Assignment(section, key.strip(), value.strip()))
    return UnitText(tuple(found))


def _logical_lines(text: str) -> list[str]:
    """The lines that count, with those joined that go on."""
    lines: list[str] = []
    begun = ""
    for physical in text.removeprefix("\ufeff").split("\n"):
        line = physical.lstrip()
        if line.startswith(_COMMENTS):
            continue
        if _goes_on(line):
            begun += f"{line[:-1]} "
        else:
            lines.append((begun + line).strip())
            begun = ""
    return [*lines, begun.strip()]


def _goes_on(line: str) -> bool:
    """Whether a line ends with a backslash that is not itself escaped."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1
