"""Our unit files in their folder: written whole or not at all, and nobody else's ever touched.

What stands in them is not known here, but for the line that marks a file as ours.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from tunnelkeeper.atomic_write import write_atomically
from tunnelkeeper.systemd.unit_templates import MARKER, NAMES, is_ours

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_MODE = 0o644


class ForeignUnitError(Exception):
    """A file of this name is there and we did not write it; the message says what to do."""


def write(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Write unit files, by name; returns the names of those that are new or have changed.

    Raises NotOurs before anything is written, and OSError.
    """
    _refuse_others(folder, texts)
    folder.mkdir(parents=True, exist_ok=True)
    changed = [name for name, text in texts.items() if _read(folder / name) != text]
    for name in changed:
        write_atomically(folder / name, texts[name].encode(), _grant)
    return changed


def remove(folder: Path, names: Iterable[str]) -> None:
    """Remove unit files of ours; one that is gone already is no error.

    Raises NotOurs before anything is removed, and OSError.
    """
    names = list(names)
    _refuse_others(folder, names)
    for name in names:
        (folder / name).unlink(missing_ok=True)


def ours(folder: Path) -> list[str]:
    """The names of the files here that we wrote."""
    return [name for name in NAMES if is_ours(_read(folder / name) or "")]


def _refuse_others(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        path = folder / name
        with suppress(FileNotFoundError):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                words = f"{path}: is a symbolic link to {path.readlink()}, which is not followed"
                raise ForeignUnitError(
                    f"{words}; remove it first (`systemctl --user unmask` a masked unit)"
                )
            if not stat.S_ISREG(mode) or not is_ours(_read(path) or ""):
                words = f"{path}: was not written by tunnelkeeper and is left alone"
                raise ForeignUnitError(
                    f"{words}; move it away, or begin it with the line `{MARKER}`"
                )


def _read(path: Path) -> str | None:
    """The text of a regular file; None where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(descriptor, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        return file.read() if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _grant(descriptor: int) -> None:
    os.fchmod(descriptor, _MODE)
