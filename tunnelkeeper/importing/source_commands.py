"""Value types for imports: the ssh commands of a setup, and the reasons for those not importable.

This module neither finds the commands nor converts them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.core.message import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

Program = Literal["autossh", "ssh"]

TRUST_HINT = "if you trust what it says, add --trust"
"""What to do about a file that another user could have written."""


class UnreadableError(ValueError):
    """A command or file cannot be interpreted as its program would. The message says why.

    hint: what to do about it, or empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Command:
    """An ssh or autossh command line and its environment.

    account: the local user that it runs as; None if unspecified.
    """

    program: Program
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None


@dataclass(frozen=True, slots=True)
class SourceCommand:
    """An ssh or autossh command, and its context in the setup that runs it.

    origin: a description of its location. name: its name there, or empty. working_directory: the
    base of relative paths. notes: parts of the context that are not imported, and why.
    """

    command: Command
    origin: str
    name: str = ""
    working_directory: str = "/"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotImportable:
    """A line that cannot be imported: its location and the reason.

    forwards_nothing: the line was understood but has no forwards. hint: what to do about it, or
    empty.
    """

    origin: str
    reason: str
    forwards_nothing: bool = False
    hint: str = ""

    @classmethod
    def because(cls, origin: str, error: UnreadableError) -> NotImportable:
        """Return the line at a location that an error makes unusable."""
        return cls(origin, str(error), hint=error.hint)

    @property
    def message(self) -> Message:
        """The location, the reason and the hint."""
        return Message(f"{self.origin}: {self.reason}", self.hint)

    def __str__(self) -> str:
        return f"{self.origin}: {self.reason}"


Finding = SourceCommand | NotImportable


def command_for_host(alias: str) -> SourceCommand:
    """Return the ssh command that opens the forwards of a host in ssh_config."""
    return SourceCommand(Command("ssh", ("-N", "--", alias)), f"ssh_config, host {alias}", alias)


@dataclass(frozen=True, slots=True)
class ImportedTunnel:
    """A tunnel for the config file.

    origin: a description of its source. table: its keys with TOML values. notes: the parts that
    were dropped or that have another meaning here, and why.
    """

    name: str
    origin: str
    table: Mapping[str, object]
    notes: tuple[str, ...] = ()
