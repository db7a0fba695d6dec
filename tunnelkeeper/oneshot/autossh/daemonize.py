"""-f and the pid file: a process of its own without a terminal, and where its number stands."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def daemonize() -> bool:
    """Go on as a process without a terminal, in `/`, its three descriptors on /dev/null.

    False: this is the process that was started, and has nothing more to do. As daemon(3) with a
    second fork, so that no terminal can ever become ours. No threads may run, nor an event loop.

    Raises OSError.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return True


@contextmanager
def pid_file(path: Path | None) -> Iterator[None]:
    """Keep this process's number in a file, and remove the file at the end.

    Raises OSError.
    """
    if path is None:
        yield
        return
    path.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
