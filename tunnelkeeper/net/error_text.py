"""The text of an error of the system, for a message. It names no exception class."""

from __future__ import annotations

import errno
import os

from tunnelkeeper.core.text import printable

_ERRNOS: tuple[tuple[type[OSError], int], ...] = (
    (ConnectionRefusedError, errno.ECONNREFUSED),
    (ConnectionResetError, errno.ECONNRESET),
    (ConnectionAbortedError, errno.ECONNABORTED),
    (BrokenPipeError, errno.EPIPE),
    (TimeoutError, errno.ETIMEDOUT),
    (FileNotFoundError, errno.ENOENT),
    (FileExistsError, errno.EEXIST),
    (IsADirectoryError, errno.EISDIR),
    (NotADirectoryError, errno.ENOTDIR),
    (PermissionError, errno.EACCES),
    (BlockingIOError, errno.EAGAIN),
    (InterruptedError, errno.EINTR),
    (ProcessLookupError, errno.ESRCH),
    (ChildProcessError, errno.ECHILD),
)
"""The error that each class of exceptions stands for, if it carries no number."""


def os_error_text(error: OSError) -> str:
    """Return the system's text for an error, printable. Libraries raise some without any text."""
    if error.strerror:
        return printable(error.strerror)
    if error.errno is None and (text := ": ".join(str(part) for part in error.args if part)):
        return printable(text)
    number = error.errno or next(
        (number for kind, number in _ERRNOS if isinstance(error, kind)), None
    )
    if number is None:
        return "connection lost" if isinstance(error, ConnectionError) else "unknown error"
    return os.strerror(number)
