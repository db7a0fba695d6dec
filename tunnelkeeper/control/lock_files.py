"""Files that a process locks while it lives (flock(2)). The system ends a lock with its process.

A file stays when its lock ends: removing it could break the lock of a process that is just
starting.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tunnelkeeper.net.file_creation import open_to_write

if TYPE_CHECKING:
    from pathlib import Path

_POLL_INTERVAL = 0.02


def lock(path: Path, text: str, *, timeout: float = 0.0) -> int | None:
    """Lock a file for this process alone, creating it, and replace its content.

    Return the descriptor that holds the lock until it is closed, or None if another process holds
    one. text: for people and other processes; a full disk is no error. timeout: seconds to try.
    Raises OSError.
    """
    descriptor = _lock(path, fcntl.LOCK_EX, timeout)
    if descriptor is not None:
        try:
            _write(descriptor, text)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def lock_shared(path: Path, *, timeout: float = 0.0) -> int | None:
    """Lock a file together with others that share the lock. Otherwise as `lock`."""
    return _lock(path, fcntl.LOCK_SH, timeout)


def is_locked(path: Path) -> bool:
    """Return whether a process holds a file for itself alone. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(path: Path, kind: int, timeout: float) -> int | None:
    descriptor = open_to_write(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    deadline = time.monotonic() + timeout
    try:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                return descriptor
            if time.monotonic() >= deadline:
                break
            time.sleep(_POLL_INTERVAL)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _write(descriptor: int, text: str) -> None:
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, text.encode(errors="surrogateescape"))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
