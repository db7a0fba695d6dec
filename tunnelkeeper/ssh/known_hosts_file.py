"""The known_hosts files on disk: read them all, or add one line to one of them.

What the lines mean is known_hosts' business. Nothing here changes or removes what a file holds, or
gives an existing file another mode. The calls block for as long as the disk, or another
writer's lock, takes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.ssh.known_hosts import SALT_BYTES, HostKeyLine, KnownHosts, format_line, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

SIZE_LIMIT = 16 * 1024 * 1024
"""Bytes of one file; about 100 000 lines. A larger one is some other file, named by mistake."""


def read(paths: Iterable[str]) -> tuple[KnownHosts, tuple[str, ...], tuple[str, ...]]:
    """Read files in order: what they hold, the warnings, and the paths that were read.

    A missing file, and /dev/null, are nothing to mention, as with ssh. A file that cannot be read
    or is larger than SIZE_LIMIT is left out whole, with a warning.
    """
    lines: list[HostKeyLine] = []
    warnings: list[str] = []
    files_read: list[str] = []
    for path in paths:
        if path == os.devnull:
            continue
        try:
            data = _contents(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            warnings.append(f"{path}: its host keys are not used: {error.strerror}")
            continue
        found, malformed = parse(data.decode("utf-8", "surrogateescape"), path)
        lines += found
        warnings += malformed
        files_read.append(path)
    return KnownHosts(tuple(lines)), tuple(warnings), tuple(files_read)


def append(path: str, pattern: str, algorithm: str, blob: bytes, hashed: bool) -> None:
    """Add the line for one host key; make the file (0600) and its folder (0700) where missing.

    pattern: as `known_hosts.host_pattern` writes it. Lines of several writers stay whole.

    Raises OSError: also for a name that known_hosts cannot hold (EINVAL).
    """
    salt = secrets.token_bytes(SALT_BYTES) if hashed else None
    try:
        record = format_line(pattern, algorithm, blob, salt).encode() + b"\n"
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), path) from error
    Path(path).parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode=0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _ends_inside_a_line(descriptor):
            record = b"\n" + record
        # ssh takes no lock: one write in append mode is what keeps its lines and ours apart.
        written = os.write(descriptor, record)
        if written < len(record):
            raise OSError(errno.EIO, f"wrote only {written} of {len(record)} bytes", path)
    finally:
        os.close(descriptor)


def _contents(path: str) -> bytes:
    """Raises OSError, also for what is no regular file or is too large."""
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(SIZE_LIMIT + 1)
    finally:
        os.close(descriptor)
    if len(data) > SIZE_LIMIT:
        raise OSError(errno.EFBIG, f"larger than {SIZE_LIMIT >> 20} MiB", path)
    return data


def _ends_inside_a_line(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
