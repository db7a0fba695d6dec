"""Parser for the text of a unit file with its drop-ins: sections, keys and values, in order.

The format is systemd.syntax(7): a backslash at the end of a line continues it with the next line
that is not a comment. The keys are not interpreted.
"""

from __future__ import annotations

from dataclasses import dataclass

_COMMENTS = ("#", ";")


@dataclass(frozen=True, slots=True)
class Assignment:
    """A line `key=value` in a section."""

    section: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class UnitText:
    """The assignments of a unit. Those of drop-ins come last."""

    assignments: tuple[Assignment, ...]

    def values(self, section: str, key: str) -> list[str]:
        """Return all values of a key. An empty value resets the list."""
        values: list[str] = []
        for assignment in self.assignments:
            if (assignment.section, assignment.key) == (section, key):
                values = [*values, assignment.value] if assignment.value else []
        return values

    def value(self, section: str, key: str) -> str:
        """Return the last value of a key, or an empty string."""
        return next(iter(self.values(section, key)[-1:]), "")


def parse_unit(text: str) -> UnitText:
    """Parse the text. Lines that are not assignments are ignored; systemd warns about them."""
    section = ""
    assignments: list[Assignment] = []
    for line in _logical_lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif "=" in line:
            key, _, value = line.partition("=")
            assignments.append(Assignment(section, key.strip(), value.strip()))
    return UnitText(tuple(assignments))


def _logical_lines(text: str) -> list[str]:
    """Return the lines without comments, with continued lines joined."""
    lines: list[str] = []
    continued = ""
    for physical in text.removeprefix("\ufeff").split("\n"):
        line = physical.lstrip()
        if line.startswith(_COMMENTS):
            continue
        if _is_continued(line):
            continued += f"{line[:-1]} "
        else:
            lines.append((continued + line).strip())
            continued = ""
    return [*lines, continued.strip()]


def _is_continued(line: str) -> bool:
    """Return whether a line ends with a backslash that is not itself escaped."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1
