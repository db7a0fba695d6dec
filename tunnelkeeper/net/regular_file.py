"""Reading of files that a user, a config file or ssh_config names. They may be anything.

A FIFO would block for ever, /dev/zero would fill the memory, and opening some devices has effects.
So a file is read only if it is a regular one of a reasonable size. A file on a disk that hangs
still blocks, so an event loop calls this in a thread.
"""

from __future__ import annotations

import errno
import os
import stat

SIZE_LIMIT = 16 * 1024 * 1024
"""Maximum bytes of a file: a hundred thousand lines of known_hosts or authorized_keys."""

KEY_SIZE_LIMIT = 1024 * 1024
"""Maximum bytes of a key or certificate: MAX_KEY_FILE_SIZE in authfile.c of OpenSSH."""


def read_regular_file(path: str | os.PathLike[str], size_limit: int = SIZE_LIMIT) -> bytes:
    """Return the bytes of a regular file. /dev/null is an empty one.

    Raises:
        OSError: The file cannot be read, is not regular (EINVAL) or is too large (EFBIG).
        ValueError: The path contains a null byte.
    """
    if not _is_regular(os.stat(path), path):  # noqa: PTH116  a path can be any text
        return b""
    # The file may have been replaced since. Opening a FIFO without O_NONBLOCK waits for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not _is_regular(os.fstat(descriptor), path):
            return b""
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(size_limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > size_limit:
        size = f"{size_limit >> 20} MiB"
        raise OSError(errno.EFBIG, f"larger than {size}", os.fspath(path))
    return data


def _is_regular(status: os.stat_result, path: str | os.PathLike[str]) -> bool:
    """Return False for /dev/null. Raises OSError for a file of any other type."""
    if stat.S_ISREG(status.st_mode):
        return True
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(os.devnull).st_rdev:  # noqa: PTH116
        return False
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
