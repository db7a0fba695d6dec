"""Expansion of the %-specifiers of systemd.unit(5), with values from the caller.

An unknown specifier raises UnreadableError: a guess would import the wrong tunnel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tunnelkeeper.importing.source_commands import UnreadableError

Specifiers = Mapping[str, str]
"""The value of each specifier letter."""

_SPECIFIER = re.compile(r"%(.?)", re.DOTALL)
_ESCAPED = re.compile(r"\\x([0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class UnitName:
    """The name of a unit, such as `autossh@relay.service`, and its parts."""

    full: str

    @property
    def stem(self) -> str:
        """The name without its type."""
        stem, dot, _ = self.full.rpartition(".")
        return stem if dot else self.full

    @property
    def prefix(self) -> str:
        """The part before the @."""
        return self.stem.partition("@")[0]

    @property
    def instance(self) -> str | None:
        """The part after the @; empty for a template, None without an @."""
        _, at, instance = self.stem.partition("@")
        return instance if at else None

    @property
    def is_template(self) -> bool:
        """Whether this is a template, not an instance."""
        return self.instance == ""

    @property
    def template(self) -> str:
        """The file name of the template of this instance."""
        return f"{self.prefix}@.{self.full.rpartition('.')[2]}"


def make_unit_specifiers(name: UnitName, path: str) -> dict[str, str]:
    """Return the specifiers that depend on a unit's name and on the absolute path of its file."""
    instance = name.instance or ""
    last = name.prefix.rpartition("-")[2]
    return {
        "n": name.full,
        "N": name.stem,
        "p": name.prefix,
        "P": unescape(name.prefix),
        "i": instance,
        "I": unescape(instance),
        "j": last,
        "J": unescape(last),
        "f": "/" + unescape(instance or name.prefix).removeprefix("/"),
        "y": path,
        "Y": path.rpartition("/")[0],
    }


def expand_specifiers(text: str, specifiers: Specifiers) -> str:
    """Return a text with its specifiers expanded.

    Raises UnreadableError if a specifier is unknown.
    """

    def value_of(match: re.Match[str]) -> str:
        letter = match[1]
        if letter == "%":
            return "%"
        if letter not in specifiers:
            raise UnreadableError(f"the value of the specifier %{letter} is not known")
        return specifiers[letter]

    return _SPECIFIER.sub(value_of, text)


def unescape(text: str) -> str:
    r"""Reverse systemd-escape(1): `-` is a slash, `\x2d` a byte in hexadecimal."""
    with_slashes = text.replace("-", "/")
    raw = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), with_slashes)
    if raw.isascii():
        return raw
    octets = b"".join(
        bytes([ord(c)]) if ord(c) < 256 else c.encode(errors="surrogateescape") for c in raw
    )
    return octets.decode(errors="surrogateescape")
