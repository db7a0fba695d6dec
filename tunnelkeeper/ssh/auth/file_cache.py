"""What was made of files: each is read once, and again when it has changed.

It decides nothing about what is in them. A file that could not be read is not remembered: the next
reader tries again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

T = TypeVar("T")

Signature = tuple[int, ...]
"""What of a file's status changes with what is in it."""


@dataclass(slots=True)
class FileCache(Generic[T]):
    """Reads files, by path.

    read: makes of a path and its status what is kept; may raise OSError.
    """

    read: Callable[[str, os.stat_result], T]
    _entries: dict[str, tuple[Signature, T]] = field(default_factory=dict)

    def get(self, path: str) -> T:
        """What the file is now.

        Raises OSError.
        """
        # Looked at first: what is written while it is read is noticed the next time.
        status = Path(path).stat()
        signature = file_signature(status)
        entry = self._entries.get(path)
        if entry is not None and entry[0] == signature:
            return entry[1]
        self._entries.pop(path, None)
        value = self.read(path, status)
        self._entries[path] = (signature, value)
        return value


def file_signature(status: os.stat_result) -> Signature:
    """Return what changes in a file's status when its contents, permissions or owner change."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_size,
        status.st_mode,
    )
