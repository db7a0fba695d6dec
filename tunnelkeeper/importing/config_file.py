"""Writes imported tunnels into the config file: checked as a whole, then replaced in one step.

A file that is a symbolic link is followed; mode and owner stay. Nothing is written that could not
be read again, or that would change another tunnel.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.atomic_write import write_atomically
from tunnelkeeper.config import ConfigError, Problem, parse
from tunnelkeeper.core.host_spec import parse_host_spec
from tunnelkeeper.importing.toml_edit import NotATableError, appended, replaced
from tunnelkeeper.importing.toml_text import toml_of, toml_of_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.configuration import Configuration
    from tunnelkeeper.importing.source_commands import ImportedTunnel

_NEW_MODE = 0o600
_MARK = "\ufeff"
"""A byte order mark, as some editors leave it; it stays where it is."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A config file as it was read. text: without a byte order mark; empty: there is no file."""

    path: Path
    text: str
    mark: str
    configuration: Configuration


def read(path: Path) -> ConfigFile:
    """Read the file; one that is not there is empty.

    Raises ConfigError, and OSError.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raw = b""
    try:
        whole = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            [
                Problem(
                    str(path), None, "", f"not UTF-8 at byte {error.start}; save the file as UTF-8"
                )
            ]
        ) from None
    text = whole.removeprefix(_MARK)
    mark = _MARK if len(text) < len(whole) else ""
    return ConfigFile(path, text, mark, parse(text, str(path)))


def with_tunnels(file: ConfigFile, tunnels: Sequence[ImportedTunnel]) -> str:
    """The text with tunnels added; those of a name that is there are replaced.

    Raises ConfigError where the whole would not do.
    """
    text = file.text
    new = [tunnel for tunnel in tunnels if tunnel.name not in file.configuration.tunnels]
    for tunnel in tunnels:
        if tunnel not in new:
            text = _replaced(file, text, tunnel)
    if new:
        text = appended(text, toml_of_all(new))
    result = parse(text, str(file.path))
    names = {tunnel.name for tunnel in tunnels}
    if _others(result, names) != _others(file.configuration, names):
        raise _refusal(file, "another tunnel would change; write the new tables by hand")
    return text


def hosts_that_hold_too(file: ConfigFile, tunnels: Sequence[ImportedTunnel]) -> list[str]:
    """The hosts of these tunnels that have a [hosts] table in the file, which nobody asked for."""
    used = (parse_host_spec(str(tunnel.table["host"])).host for tunnel in tunnels)
    return [host for host in dict.fromkeys(used) if host in file.configuration.hosts]


def write(file: ConfigFile, text: str) -> None:
    """Put the text in place, so that whoever looks sees the old file or the new one.

    Raises OSError.
    """
    path = Path(os.path.realpath(file.path))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (file.mark + text).encode(), partial(_take_after, path))


def _take_after(path: Path, descriptor: int) -> None:
    """Give a new file the mode and, where we may, the owner of the one that it replaces."""
    try:
        old = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, _NEW_MODE)
        return
    with suppress(PermissionError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, old.st_mode & 0o7777)


def _replaced(file: ConfigFile, text: str, tunnel: ImportedTunnel) -> str:
    try:
        return replaced(text, tunnel.name, toml_of(tunnel))
    except NotATableError as error:
        raise _refusal(file, f"{error}, so it cannot be replaced here; edit it by hand") from None


def _refusal(file: ConfigFile, why: str) -> ConfigError:
    return ConfigError([Problem(str(file.path), None, "", why)])


def _others(configuration: Configuration, names: set[str]) -> tuple[object, ...]:
    """All of a configuration but the tunnels of these names."""
    tunnels = {n: t for n, t in configuration.tunnels.items() if n not in names}
    return configuration.supervisor, configuration.defaults, configuration.hosts, tunnels
