"""The command lines of old set-ups, as values: what was found where, and what cannot be read.

Who finds them (unit files, crontabs, a person's hands) and what becomes of them is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Program = Literal["autossh", "ssh"]


class UnreadableError(ValueError):
    """A line or a file cannot be read as what would run it reads it; the text says why."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program's words, and what it runs with.

    account: the user of this machine that it runs as; None: nobody said.
    """

    program: Program
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None


@dataclass(frozen=True, slots=True)
class SourceCommand:
    """A command line of ssh or autossh, and what an old set-up says around it.

    origin: where it stands, in words. name: what it is called there, or empty. folder: what
    relative paths are relative to. dropped: what stands around it and is not taken over.
    """

    command: Command
    origin: str
    name: str = ""
    folder: str = "/"
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotImportable:
    """What cannot be imported: where it stands, and why.

    forwards_nothing: it was understood, and there is nothing to import.
    """

    origin: str
    why: str
    forwards_nothing: bool = False

    def __str__(self) -> str:
        return f"{self.origin}: {self.why}"


Finding = SourceCommand | NotImportable


def line_of_host(alias: str) -> SourceCommand:
    """A host of ssh_config as the line that would make its forwards."""
    return SourceCommand(Command("ssh", ("-N", "--", alias)), f"ssh_config, host {alias}", alias)


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
