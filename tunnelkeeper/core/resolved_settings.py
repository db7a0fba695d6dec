"""The settings of a tunnel that are in effect, each with its origin. They decide nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OriginKind = Literal["file", "ssh_config", "default", "command_line"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from.

    file, line (from 1): of the config file, else None. key: of a value of the command line, whose
    host can name the user and the port.
    """

    kind: OriginKind
    file: str | None = None
    line: int | None = None
    key: str = ""

    def __str__(self) -> str:
        if self.kind == "command_line":
            return "command line"
        if self.file is None:
            return self.kind
        name = self.file.rpartition("/")[2]
        return name if self.line is None else f"{name}:{self.line}"


DEFAULT = Origin("default")
SSH_CONFIG = Origin("ssh_config")


@dataclass(frozen=True, slots=True)
class Setting:
    """A key of the config file with its value in effect, as TOML has it. key: with dots."""

    key: str
    value: object
    origin: Origin


@dataclass(frozen=True, slots=True)
class ResolvedHost:
    """A jump host: its name as it is referred to, the name of its table, and its settings."""

    name: str
    alias: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class ResolvedTunnel:
    """A tunnel with the settings of its host, and its jump hosts in the order of ssh -J."""

    name: str
    file: str
    settings: tuple[Setting, ...]
    jump_hosts: tuple[ResolvedHost, ...] = ()
