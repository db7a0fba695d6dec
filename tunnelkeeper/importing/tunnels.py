"""What an import makes: a table of the config file, and the remarks that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ImportedTunnel:
    """A tunnel for the config file.

    origin: where it comes from. table: its keys, as TOML has their values. remarks: what was
    dropped or means something else here, and why.
    """

    name: str
    origin: str
    table: Mapping[str, object]
    remarks: tuple[str, ...] = ()
