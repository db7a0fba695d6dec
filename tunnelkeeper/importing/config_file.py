"""Changes of the config file: read it, validate the whole new text, then replace it atomically.

Symbolic links are followed; mode and owner are kept. It refuses to write a file that is not valid
or that would change another tunnel.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.atomic_write import write_atomically
from tunnelkeeper.config import ConfigError, Problem, parse, parse_with_warnings
from tunnelkeeper.config.toml_edit import NotATableError, append_text, replace_table
from tunnelkeeper.config.toml_limits import SIZE_LIMIT
from tunnelkeeper.core.host_spec import parse_host_spec
from tunnelkeeper.importing.toml_text import IMPORT_COMMENT, format_tunnel, format_tunnels
from tunnelkeeper.net.file_trust import find_strict_distrust
from tunnelkeeper.net.regular_file import read_regular_file

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tunnelkeeper.config.load import Loaded
    from tunnelkeeper.core.configuration import Configuration
    from tunnelkeeper.importing.source_commands import ImportedTunnel
    from tunnelkeeper.net.file_trust import Distrust

_NEW_MODE = 0o600
_BYTE_ORDER_MARK = "\ufeff"
"""The byte order mark that some editors write. It is preserved."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A config file as it was read.

    text: without the byte order mark; empty if the file does not exist.
    """

    path: Path
    text: str
    byte_order_mark: str
    configuration: Configuration


def read(path: Path) -> ConfigFile:
    """Read the file. A missing file counts as empty.

    Raises ConfigError if the file is invalid or can be written by others, as the supervisor does,
    and OSError if it cannot be read.
    """
    text, mark = read_unchecked(path)
    return ConfigFile(path, text, mark, parse(text, str(path)))


def read_unchecked(path: Path) -> tuple[str, str]:
    """Return the text of a file that may be invalid, and its byte order mark.

    Raises ConfigError if others can write it or it is not UTF-8, and OSError.
    """
    # Root may change the file of a user, whose supervisor reads it.
    user = path.stat().st_uid if os.geteuid() == 0 and path.exists() else None
    reasons: list[Distrust] = []
    raw = b""
    with suppress(FileNotFoundError):  # of the folder, then of the file
        reasons = find_strict_distrust(path, user)
        raw = read_regular_file(path, SIZE_LIMIT)
    if reasons:
        found = [reason.describe(str(path)) for reason in reasons]
        raise ConfigError(Problem(str(path), None, "", each.text, each.hint) for each in found)
    try:
        decoded = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"not UTF-8 at byte {error.start}"
        problem = Problem(str(path), None, "", message, "save the file as UTF-8")
        raise ConfigError([problem]) from None
    text = decoded.removeprefix(_BYTE_ORDER_MARK)
    mark = _BYTE_ORDER_MARK if len(text) < len(decoded) else ""
    return text, mark


def add_tunnels(file: ConfigFile, tunnels: Sequence[ImportedTunnel]) -> str:
    """Return the text with the tunnels added. A tunnel of the same name is replaced.

    Raises ConfigError if the result is invalid or changes another tunnel.
    """
    text = file.text
    added = [tunnel for tunnel in tunnels if tunnel.name not in file.configuration.tunnels]
    for tunnel in tunnels:
        if tunnel not in added:
            text = _replace_tunnel(file, text, tunnel)
    if added:
        text = append_text(text, format_tunnels(added))
    parse_changed(file, text, {tunnel.name for tunnel in tunnels})
    return text


def parse_changed(file: ConfigFile, text: str, names: Collection[str]) -> Loaded:
    """Parse a new text, in which only the tunnels of these names may differ. Return the warnings.

    Raises ConfigError if it is invalid or changes another tunnel.
    """
    result, warnings = parse_with_warnings(text, str(file.path))
    if _settings_without(result, names) != _settings_without(file.configuration, names):
        raise _make_config_error(file, "this would change another tunnel")
    return result, warnings


def find_shared_hosts(file: ConfigFile, tunnels: Sequence[ImportedTunnel]) -> list[str]:
    """Return the hosts of the tunnels that have a [hosts] table in the file.

    The settings of that table apply to the imported tunnels too.
    """
    hosts = (parse_host_spec(str(tunnel.table["host"])).host for tunnel in tunnels)
    return [host for host in dict.fromkeys(hosts) if host in file.configuration.hosts]


def write(file: ConfigFile, text: str) -> None:
    """Replace the file atomically: readers see either the old text or the new one.

    Raises OSError.
    """
    write_text(file.path, file.byte_order_mark, text)


def write_text(path: Path, byte_order_mark: str, text: str) -> None:
    """Create or replace a file atomically. A link is followed; a new file has mode 0600.

    Raises OSError.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (byte_order_mark + text).encode(), partial(_copy_mode_and_owner, path))


def _copy_mode_and_owner(path: Path, descriptor: int) -> None:
    """Copy the mode and, if permitted, the owner of the replaced file to the new one."""
    try:
        old = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, _NEW_MODE)
        return
    with suppress(PermissionError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, old.st_mode & 0o7777)


def _replace_tunnel(file: ConfigFile, text: str, tunnel: ImportedTunnel) -> str:
    try:
        return replace_table(text, tunnel.name, format_tunnel(tunnel), IMPORT_COMMENT)
    except NotATableError as error:
        raise _make_config_error(file, f"{error}, so it cannot be replaced here") from None


def _make_config_error(file: ConfigFile, reason: str) -> ConfigError:
    return ConfigError([Problem(str(file.path), None, "", reason, "tunnelkeeper edit")])


def _settings_without(configuration: Configuration, names: Collection[str]) -> tuple[object, ...]:
    """Return everything in a configuration except the tunnels of these names."""
    tunnels = {name: tunnel for name, tunnel in configuration.tunnels.items() if name not in names}
    return configuration.supervisor, configuration.defaults, configuration.hosts, tunnels
