"""Fills in the %-specifiers of systemd.unit(5); what they stand for is handed in.

A specifier that the machine does not answer here is Unreadable: a guess would be a wrong tunnel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tunnelkeeper.importing.source_commands import UnreadableError

Specifiers = Mapping[str, str]
"""What stands for each letter."""

_SPECIFIER = re.compile(r"%(.?)", re.DOTALL)
_ESCAPED = re.compile(r"\\x([0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class UnitName:
    """A unit's name in its parts: `autossh@relay.service`. instance: None where there is none."""

    full: str

    @property
    def stem(self) -> str:
        """The name without its type."""
        stem, dot, _ = self.full.rpartition(".")
        return stem if dot else self.full

    @property
    def prefix(self) -> str:
        """What stands before the @."""
        return self.stem.partition("@")[0]

    @property
    def instance(self) -> str | None:
        """What stands behind the @; empty for a template by itself."""
        _, at, instance = self.stem.partition("@")
        return instance if at else None

    @property
    def is_template(self) -> bool:
        """Whether it stands for no service yet."""
        return self.instance == ""

    @property
    def template(self) -> str:
        """The name of the file that this instance is made from."""
        return f"{self.prefix}@.{self.full.rpartition('.')[2]}"


def of_unit(name: UnitName, path: str) -> dict[str, str]:
    """The specifiers that a unit's name and file decide. path: of the file, absolute."""
    instance = name.instance or ""
    last = name.prefix.rpartition("-")[2]
    return {
        "n": name.full,
        "N": name.stem,
        "p": name.prefix,
        "P": unescaped(name.prefix),
        "i": instance,
        "I": unescaped(instance),
        "j": last,
        "J": unescaped(last),
        "f": "/" + unescaped(instance or name.prefix).removeprefix("/"),
        "y": path,
        "Y": path.rpartition("/")[0],
    }


def expand(text: str, specifiers: Specifiers) -> str:
    """A text with its specifiers filled in.

    Raises Unreadable.
    """

    def filled_in(match: re.Match[str]) -> str:
        letter = match[1]
        if letter == "%":
            return "%"
        if letter not in specifiers:
            raise UnreadableError(f"what the specifier %{letter} stands for is not known here")
        return specifiers[letter]

    return _SPECIFIER.sub(filled_in, text)


def unescaped(text: str) -> str:
    r"""What systemd-escape(1) made a name of: `-` is a slash, `\x2d` a byte in hexadecimal."""
    with_slashes = text.replace("-", "/")
    raw = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), with_slashes)
    if raw.isascii():
        return raw
    octets = b"".join(
        bytes([ord(c)]) if ord(c) < 256 else c.encode(errors="surrogateescape") for c in raw
    )
    return octets.decode(errors="surrogateescape")
