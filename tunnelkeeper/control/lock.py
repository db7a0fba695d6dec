"""The lock beside a control socket: whoever holds it is the only one to serve there."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class AlreadyRunningError(Exception):
    """Another supervisor holds the lock."""


def take(path: Path) -> int:
    """Take the lock file; the descriptor returned holds it until it is closed.

    The supervisor never closes it: the lock ends with the process, so whoever sees it free knows
    that nothing is left. Raises AlreadyRunning, and OSError where the file cannot be made. The file
    stays: removing it could take it from under a supervisor that is just starting.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _name_ourselves(descriptor)
    except BlockingIOError as error:
        os.close(descriptor)
        raise AlreadyRunningError(str(path)) from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _name_ourselves(descriptor: int) -> None:
    """Write down for people who holds the lock; it holds on a full disk, too.

    Raises OSError.
    """
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
