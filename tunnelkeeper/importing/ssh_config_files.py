"""The host names in ssh's configuration files. Only names are used, so any file is read.

It imports little, because a shell waits for it when it completes a host.
"""

from __future__ import annotations

import glob
import os

from tunnelkeeper.core.text import printable
from tunnelkeeper.importing.source_commands import UnreadableError
from tunnelkeeper.importing.ssh_config_names import HostNames, parse_host_names
from tunnelkeeper.net.regular_file import read_regular_file

_MAX_INCLUDE_DEPTH = 16  # as in readconf.c; ssh_config(5) mentions no limit
_MAX_INCLUDED_FILES = 500
_SIZE_LIMIT = 1024 * 1024
"""Maximum bytes of a file."""

_SYSTEM_SSH_CONFIG = "/etc/ssh/ssh_config"


def read_host_names(file: str | None, home: str) -> HostNames:
    """Return the host names in an ssh_config and its included files; None for ssh's own files.

    home: the home folder, where ssh's own files are.

    Raises UnreadableError if the given file cannot be read.
    """
    names = HostNames()
    if file is not None:
        names = parse_host_names(_read_named(file))
        _add_included_names(names, names.includes, f"{home}/.ssh", home, set())
        return names
    seen: set[str] = set()
    for path in (f"{home}/.ssh/config", _SYSTEM_SSH_CONFIG):
        _add_included_names(names, [path], path.rpartition("/")[0], home, seen)
    return names


def _add_included_names(
    names: HostNames,
    patterns: list[str],
    directory: str,
    home: str,
    seen: set[str],
    depth: int = 0,
) -> None:
    """Add the names of included files. Unreadable files are skipped, as ssh does.

    directory: the base of relative patterns. seen: the files that were read; a second reading would
    add no name, and files that include each other would be read without end.
    """
    if depth > _MAX_INCLUDE_DEPTH:
        return
    for pattern in list(patterns):
        expanded = f"{home}{pattern[1:]}" if pattern.startswith("~/") else pattern
        for path in sorted(glob.glob(os.path.join(directory, expanded))):  # noqa: PTH118, PTH207
            if path in seen or len(seen) >= _MAX_INCLUDED_FILES:
                continue
            seen.add(path)
            try:
                inner = parse_host_names(_read(path))
            except OSError:
                continue
            names.hosts += inner.hosts
            names.patterns += inner.patterns
            _add_included_names(names, inner.includes, directory, home, seen, depth + 1)


def _read_named(path: str) -> str:
    """Read a file that the user named. Raises UnreadableError."""
    try:
        return _read(path)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # a NUL in the path
        raise UnreadableError(f"{printable(path)}: not a path: {error}") from None


def _read(path: str) -> str:
    return read_regular_file(path, _SIZE_LIMIT).decode("utf-8", "surrogateescape")
