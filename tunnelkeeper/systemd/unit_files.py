"""Our unit files in their folder: written atomically; files of others are never touched.

It knows nothing of their content but the line that marks a file as ours.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from tunnelkeeper.atomic_write import write_atomically
from tunnelkeeper.core.message import HintedError
from tunnelkeeper.systemd.unit_templates import INSTANCE_PATTERN, MARKER, NAMES, is_ours

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_MODE = 0o644
_CONFIG_OPTION = re.compile(r'^ExecStart=.*? --config ("(?:[^"\\]|\\.)*"|\S+)', re.MULTILINE)


class ForeignUnitError(HintedError):
    """A file of this name exists that we did not write."""


def write_units(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Write unit files, by name. Return the names of the new and changed ones.

    Raises ForeignUnitError before anything is written, and OSError.
    """
    _refuse_foreign(folder, texts)
    folder.mkdir(parents=True, exist_ok=True)
    changed = [name for name, text in texts.items() if _read(folder / name) != text]
    for name in changed:
        write_atomically(folder / name, texts[name].encode(), _set_mode)
    return changed


def remove_units(folder: Path, names: Iterable[str]) -> None:
    """Remove our unit files. A missing file is no error.

    Raises ForeignUnitError before anything is removed, and OSError.
    """
    names = list(names)
    _refuse_foreign(folder, names)
    for name in names:
        (folder / name).unlink(missing_ok=True)


def own_units(folder: Path) -> list[str]:
    """Return the names of the files in a folder that we wrote."""
    return [name for name in NAMES if is_ours(_read(folder / name) or "")]


def enabled_instances(folder: Path) -> list[str]:
    """Return the units of single tunnels that are enabled here."""
    return sorted({link.name for link in folder.glob(f"*.wants/{INSTANCE_PATTERN}")})


def uses_config_of(folder: Path, name: str, other: str) -> bool:
    """Return whether a unit file of ours names the same config file as the text of another one."""
    text = _read(folder / name) or ""
    return is_ours(text) and _config_option(text) == _config_option(other)


def _config_option(text: str) -> str:
    found = _CONFIG_OPTION.search(text)
    return found[1] if found else ""


def _refuse_foreign(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        path = folder / name
        with suppress(FileNotFoundError):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                problem = f"{path}: is a symbolic link to {path.readlink()}, which is not followed"
                raise ForeignUnitError(
                    problem, f"`rm {path}`, or `systemctl --user unmask {name}` for a masked unit"
                )
            if not stat.S_ISREG(mode) or not is_ours(_read(path) or ""):
                problem = f"{path}: was not written by tunnelkeeper and is left alone"
                raise ForeignUnitError(
                    problem, f"move it away, or begin it with the line `{MARKER}`"
                )


def _read(path: Path) -> str | None:
    """Return the text of a regular file, or None."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(descriptor, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        return file.read() if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _set_mode(descriptor: int) -> None:
    os.fchmod(descriptor, _MODE)
