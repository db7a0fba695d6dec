"""A log file that is rotated by size: FILE is renamed to FILE.1, that to FILE.2, and so on.

One process at a time may write to it; `control.log_files` ensures that. It compresses nothing and
looks at no clock.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.net.file_creation import open_to_write
from tunnelkeeper.net.line_sinks import DescriptorSink, FileSink

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE_LIMIT = 10 * 1024 * 1024
"""Bytes of a file. A busy supervisor writes some 100 bytes a line, so this is days of its log."""

OLD_FILES = 3

_STANDARD_DESCRIPTORS = (1, 2)
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOCTTY


class RotatingFileSink(FileSink):
    """A file that is appended to, and replaced by a new one before it grows beyond a limit.

    A line is never split between two files. If the rotation fails, for example because the folder
    cannot be written, the file grows until a later attempt succeeds. A file that logrotate renames
    or truncates is followed; anything but a regular file, such as /dev/null, is never rotated.

    size_limit: Bytes of a file. old_files: How many are kept.
    followers: Descriptors of this process. Those that have the file open get the new one, so that
        the messages of libraries and of the interpreter stay in the newest file.
    """

    def __init__(
        self,
        path: Path,
        size_limit: int = SIZE_LIMIT,
        old_files: int = OLD_FILES,
        followers: Sequence[int] = _STANDARD_DESCRIPTORS,
    ) -> None:
        super().__init__(path)
        self._name = path
        self._size_limit = size_limit
        self._old_files = old_files
        self._followers = followers
        self._rotates_at = size_limit
        self._file: tuple[int, int] | None = None

    def write(self, line: str, level: int) -> None:
        """Append a line, in a new file if this one would become too large."""
        descriptor = self.current().descriptor
        status = os.fstat(descriptor)
        if status.st_size <= self._size_limit:  # a new file, or one that was truncated
            self._rotates_at = self._size_limit
        size = status.st_size + len(line.encode(errors="backslashreplace"))
        if stat.S_ISREG(status.st_mode) and status.st_size and size > self._rotates_at:
            try:
                self._rotate()
            except OSError:
                self._rotates_at = size + self._size_limit // 10  # not with each line
        super().write(line, level)

    def _open(self, flags: int = 0) -> DescriptorSink:
        """Open the file by its name, in which a link that others may have planted is refused."""
        self._path = self._name
        sink = super()._open(flags)
        # A link, such as one to another disk, stays; its target is rotated.
        self._path = Path(os.path.realpath(self._name))
        return sink

    def _rotate(self) -> None:
        """Rename the files and open a new one. Raises OSError; then lines go to the same file."""
        new = self._path.with_name(f"{self._path.name}.new")
        descriptor = open_to_write(new, _APPEND | os.O_TRUNC)
        try:
            for number in range(self._old_files, 0, -1):
                with suppress(FileNotFoundError):
                    old_file(self._path, number - 1).replace(old_file(self._path, number))
            new.replace(self._path)
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                new.unlink()
            raise
        self.close()
        self._adopt(descriptor)

    def _adopt(self, descriptor: int) -> DescriptorSink:
        sink = super()._adopt(descriptor)
        before, self._file = self._file, _identity(descriptor)
        for follower in self._followers:
            with suppress(OSError):  # it is closed
                if _identity(follower) == before:
                    os.dup2(descriptor, follower)
        return sink


def old_file(path: Path, number: int) -> Path:
    """Return the file that was rotated this many times; 0 is the newest, which has no number."""
    return path.with_name(f"{path.name}.{number}") if number else path


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
