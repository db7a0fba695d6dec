"""Reading of known_hosts files, and appending of one line to a file.

`known_hosts` interprets the lines. This module never changes or removes lines of others, nor the
mode of an existing file. All functions except the async ones block on the disk and on the locks of
other writers.
"""

from __future__ import annotations

import errno
import fcntl
import operator
import os
import secrets
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.net.file_creation import open_to_write
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.net.thread_executor import SerialExecutor
from tunnelkeeper.ssh.auth.file_cache import FileCache
from tunnelkeeper.ssh.auth.known_hosts import (
    SALT_BYTES,
    HostKeyLine,
    KnownHosts,
    KnownKeys,
    format_line,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

TRANSIENT_ERRNOS = EXHAUSTION_ERRNOS | {errno.EIO}
"""Errors of this machine, not of a file. If such a file were skipped, accept-new would trust any
key."""

ParsedFile = tuple[tuple[HostKeyLine, ...], tuple[str, ...]]
"""The lines of a file, and a warning for each malformed line."""


@dataclass(frozen=True, slots=True)
class CombinedFiles:
    """Several files combined. keys_by_host: results of earlier lookups."""

    files: tuple[ParsedFile, ...]
    known_hosts: KnownHosts
    keys_by_host: dict[tuple[str, int, str | None], KnownKeys] = field(default_factory=dict)


@dataclass(slots=True)
class KnownHostsFiles:
    """known_hosts files, each parsed again only after a change.

    Parsing and searching ten thousand hashed lines takes more than 0.1 s, which every attempt of
    every tunnel would pay. So lookup results are cached too, and the first lookup runs in a thread.
    """

    _files: FileCache[ParsedFile] = field(default_factory=lambda: FileCache(_parse_file))
    _combined: dict[tuple[str, ...], CombinedFiles] = field(default_factory=dict)
    _executor: SerialExecutor = field(default_factory=SerialExecutor)
    _accepted: set[tuple[tuple[str, ...], str, bytes]] = field(default_factory=set)

    def accept(self, paths: tuple[str, ...], pattern: str, blob: bytes) -> None:
        """Accept a key for a name until this process ends: these files cannot keep it."""
        self._accepted.add((paths, pattern, blob))

    def is_accepted(self, paths: tuple[str, ...], pattern: str, blob: bytes) -> bool:
        """Return whether `accept` was called with these arguments."""
        return (paths, pattern, blob) in self._accepted

    async def keys_for(
        self, paths: tuple[str, ...], host: str, port: int, alias: str | None
    ) -> tuple[KnownKeys, tuple[str, ...]]:
        """Run `keys_for_blocking` in a thread."""
        return await self.run_in_thread(
            paths, lambda: self.keys_for_blocking(paths, host, port, alias)
        )

    async def run_in_thread(self, paths: tuple[str, ...], function: Callable[[], T]) -> T:
        """Call a function in a thread, one call at a time per set of paths, and return its result.

        Raises OSError (ETIMEDOUT) if it takes too long, and what the function raises.
        """
        return await self._executor.read(paths, function)

    def keys_for_blocking(
        self, paths: Iterable[str], host: str, port: int, alias: str | None
    ) -> tuple[KnownKeys, tuple[str, ...]]:
        """Return the keys of a host, and the warnings of `read`.

        Raises OSError with one of TRANSIENT_ERRNOS.
        """
        combined, warnings, _ = self._read(paths)
        query = (host, port, alias)
        if query not in combined.keys_by_host:
            combined.keys_by_host[query] = combined.known_hosts.keys_for(*query)
        return combined.keys_by_host[query], warnings

    def read(self, paths: Iterable[str]) -> tuple[KnownHosts, tuple[str, ...], tuple[str, ...]]:
        """Read files in order. Return their lines, the warnings, and the paths that were read.

        A missing file and /dev/null are skipped silently, as by ssh. An unreadable file and one
        that is too large are skipped with a warning.

        Raises OSError with one of TRANSIENT_ERRNOS.
        """
        combined, warnings, files_read = self._read(paths)
        return combined.known_hosts, warnings, files_read

    def _read(self, paths: Iterable[str]) -> tuple[CombinedFiles, tuple[str, ...], tuple[str, ...]]:
        parsed_files: list[ParsedFile] = []
        warnings: list[str] = []
        files_read: list[str] = []
        for path in paths:
            if path == os.devnull:
                continue
            try:
                parsed = self._files.get(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno in TRANSIENT_ERRNOS:
                    raise
                warnings.append(f"{path}: its host keys are not used: {error.strerror}")
                continue
            parsed_files.append(parsed)
            warnings += parsed[1]
            files_read.append(path)
        read_paths = tuple(files_read)
        return self._combine(read_paths, tuple(parsed_files)), tuple(warnings), read_paths

    def _combine(self, paths: tuple[str, ...], files: tuple[ParsedFile, ...]) -> CombinedFiles:
        combined = self._combined.get(paths)
        if combined is None or not all(map(operator.is_, combined.files, files)):
            lines = tuple(line for lines, _ in files for line in lines)
            combined = self._combined[paths] = CombinedFiles(files, KnownHosts(lines))
        return combined


def append_host_key(path: str, pattern: str, algorithm: str, blob: bytes, hashed: bool) -> None:
    """Append a host key. Create the file (0600) and its directory (0700) if they are missing.

    pattern: in the form of `known_hosts.host_pattern`. Concurrent writers never split a line.

    Raises OSError, with EINVAL for a name that known_hosts cannot represent and for a FIFO, and
    PlantedFileError for a file that another user may have planted.
    """
    record = host_key_record(path, pattern, algorithm, blob, hashed=hashed)
    with locked(path) as descriptor:
        append_record(path, descriptor, record)


def host_key_record(path: str, pattern: str, algorithm: str, blob: bytes, *, hashed: bool) -> bytes:
    """Return the line of a host key, with its newline.

    Raises OSError (EINVAL) for a name that known_hosts cannot represent.
    """
    salt = secrets.token_bytes(SALT_BYTES) if hashed else None
    try:
        return format_line(pattern, algorithm, blob, salt).encode() + b"\n"
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), path) from error


@contextmanager
def locked(path: str) -> Iterator[int]:
    """Open a file for appending and hold its lock inside the block. Yield the descriptor.

    A missing file is created (0600), and its directory (0700). A file that was replaced while the
    lock was waited for, as ssh-keygen -R does, is opened again.

    Raises OSError, with EINVAL for a FIFO.
    """
    Path(path).parent.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK
    while True:
        descriptor = open_to_write(path, flags)
        try:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_at(path, descriptor):
                continue
            yield descriptor
            return
        finally:
            os.close(descriptor)


def append_record(path: str, descriptor: int, record: bytes) -> Callable[[], None]:
    """Append a line to a locked file. Return a function that removes it if it is still the last.

    Raises OSError.
    """
    if _lacks_final_newline(descriptor):
        record = b"\n" + record
    # ssh takes no lock; only a single write in append mode keeps its lines and ours intact.
    written = os.write(descriptor, record)
    end = os.lseek(descriptor, 0, os.SEEK_CUR)
    if written < len(record):
        _undo_write(descriptor, written, end)
        raise OSError(errno.EIO, f"wrote only {written} of {len(record)} bytes", path)
    return partial(_undo_write, descriptor, written, end)


def _parse_file(path: str, _status: os.stat_result) -> ParsedFile:
    """Parse a file. Raises OSError, also if it is not a regular file or is too large."""
    return parse(read_regular_file(path).decode("utf-8", "surrogateescape"), path)


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))  # noqa: PTH116
    except FileNotFoundError:
        return False


def _undo_write(descriptor: int, written: int, end: int) -> None:
    """Remove what was written up to an offset, if the file still ends there."""
    if os.fstat(descriptor).st_size == end:
        os.ftruncate(descriptor, end - written)


def _lacks_final_newline(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
