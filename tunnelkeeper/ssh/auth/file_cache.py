"""Parsed files, each read once and again when it changes. This module interprets no contents.

Errors are not cached: after one, the next call reads the file again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

T = TypeVar("T")

Signature = tuple[int, ...]
"""Parts of a file's status that identify its version."""

TIMESTAMP_STEP_NS = 20_000_000
"""Nanoseconds within which two writes may give a file the same times. The kernel takes them from
its timer tick, which is 10 ms or less."""


@dataclass(slots=True)
class FileCache(Generic[T]):
    """A cache of parsed files by path.

    read: returns the parsed file for a path and its status; may raise OSError.
    """

    read: Callable[[str, os.stat_result], T]
    _entries: dict[str, tuple[Signature, T]] = field(default_factory=dict)

    def get(self, path: str) -> T:
        """Return the parsed file, read again if it changed.

        Raises OSError.
        """
        # The status comes before the read, so the next call notices a write during the read.
        now = time.time_ns()
        status = Path(path).stat()
        signature = file_signature(status)
        entry = self._entries.get(path)
        if entry is not None and entry[0] == signature:
            return entry[1]
        self._entries.pop(path, None)
        value = self.read(path, status)
        # A write in the same step as the last change would not change the status.
        if not abs(now - status.st_ctime_ns) < TIMESTAMP_STEP_NS:
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
