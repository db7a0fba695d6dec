"""The log files of supervisors in the background: each file is written by one of them at a time.

The usual file is taken by the first one; a second one, at another socket, gets another name. The
lock file beside a log has the process and the socket of its last writer.
"""

from __future__ import annotations

import os
from itertools import count, islice
from typing import TYPE_CHECKING

from tunnelkeeper.control import lock_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 100
"""Names that are tried. More supervisors than that on one account are unlikely."""

_LOCK_SIZE_LIMIT = 8192
_DAMAGE = "surrogateescape"  # any path that the system allows


class LogInUseError(Exception):
    """Another supervisor writes to this log file."""

    hint = "choose another file with --log-file FILE"

    def __init__(self, path: Path) -> None:
        super().__init__(f"another supervisor writes its log to {path}")


def claim(path: Path, socket: Path) -> int:
    """Reserve a log file for this process until the returned descriptor is closed.

    socket: our control socket. Raises LogInUseError, and OSError if the lock cannot be written.
    """
    descriptor = lock_files.lock(_lock_path(path), f"{os.getpid()}\n{socket}\n")
    if descriptor is None:
        raise LogInUseError(path)
    return descriptor


def choose(path: Path, socket: Path) -> Path:
    """Return a log file that no supervisor writes to: the last one of this socket, or the first.

    path: the usual name. Raises OSError if there is none.
    """
    names = list(islice(_names(path), LIMIT))
    free = [name for name in names if not lock_files.is_locked(_lock_path(name))]
    if not free:
        raise FileExistsError(None, "too many log files are in use", str(path))
    return next((name for name in free if _last_socket(name) == str(socket)), free[0])


def find(path: Path, socket: Path) -> list[Path]:
    """Return the existing log files: that of this socket if its last writer is known, else all.

    path: the usual name.
    """
    existing = []
    for name in islice(_names(path), LIMIT):
        if not name.exists():
            break
        existing.append(name)
    return [name for name in existing if _last_socket(name) == str(socket)] or existing


def _names(path: Path) -> Iterator[Path]:
    """Yield `tunnelkeeper.log`, `tunnelkeeper-2.log`, and so on."""
    yield path
    yield from (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))


def _lock_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _last_socket(path: Path) -> str:
    """Return the socket of the last writer of a log; empty if it is not known."""
    try:
        with _lock_path(path).open("rb") as file:
            text = file.read(_LOCK_SIZE_LIMIT).decode(errors=_DAMAGE)
    except OSError:
        return ""
    return text.partition("\n")[2].removesuffix("\n")
