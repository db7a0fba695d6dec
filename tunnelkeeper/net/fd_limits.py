"""The file descriptor limits of this process, and the descriptors that it keeps in reserve.

It logs nothing and starts no program; callers turn the errors into failures.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

RESERVE = 64
"""Descriptors that clients of forwards leave free for status requests, logins and `ssh -G`, of
which eight may run at the same time, with seven descriptors each."""

RETRY_DELAY = 0.9
"""Seconds for which accept() is not called again after it ran out of descriptors. asyncio retries
after one second, but before that it calls accept() once per slot of the backlog (CPython 3.11)."""


class Limit(Struct, frozen=True):
    """The soft and hard limit of open file descriptors (getrlimit(2))."""

    soft: int
    hard: int


@cache
def inherited() -> Limit:
    """Return the limit that this process was started with; its children get it back."""
    return Limit(*resource.getrlimit(resource.RLIMIT_NOFILE))


def raise_limit() -> None:
    """Raise the soft limit to the hard limit; keep it if the system refuses."""
    limit = inherited()
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit.hard, limit.hard))


def with_inherited_limit(command: Sequence[str]) -> list[str]:
    """Return the command line that runs a command with the limit that we were started with.

    A raised limit breaks programs that use select(2), and slows those that close every possible
    descriptor. Raises OSError if the program does not exist.
    """
    limit = inherited()
    if resource.getrlimit(resource.RLIMIT_NOFILE) == (limit.soft, limit.hard):
        return [*command]
    program = shutil.which(command[0])
    if program is None:
        is_there = os.sep in command[0] and Path(command[0]).exists()
        number = errno.EACCES if is_there else errno.ENOENT
        raise OSError(number, os.strerror(number), command[0])
    # Not with preexec_fn: a process with threads must not run Python between fork and exec. A shell
    # starts ten times faster than Python. The arguments are parameters that it does not parse.
    script = f'ulimit -S -n {_ulimit_text(limit.soft)}; exec "$@"'
    return ["/bin/sh", "-c", script, "sh", program, *command[1:]]


def _ulimit_text(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)


def are_exhausted() -> bool:
    """Return whether no descriptor can be opened now."""
    try:
        lowest_free_fd()
    except OSError:
        return True
    return False


def reserve_of(wanted: int, limit: int) -> int:
    """Return the size of a reserve: what is wanted, but at most a quarter of the limit."""
    return min(wanted, limit // 4)


def lowest_free_fd() -> int:
    """Return the lowest free descriptor. Raises OSError if there is none."""
    lowest_free = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.close(lowest_free)
    return lowest_free


def reserve_fd(open_socket: socket.socket) -> None:
    """Raise OSError (EMFILE) if a new client's descriptor would come from the reserve.

    open_socket: any open socket, to find the lowest free descriptor.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(open_socket.fileno())  # dup(2) returns the lowest free one
    os.close(lowest_free)
    if lowest_free >= limit - reserve_of(RESERVE, limit):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class AcceptingSocket(socket.socket):
    """A listening socket for asyncio servers. Clients wait while descriptors run short."""

    _starved_until = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a client.

        Raises OSError: EMFILE once a second, on which asyncio waits, otherwise EAGAIN.
        """
        if time.monotonic() < self._starved_until:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        try:
            return super().accept()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                self._starved_until = time.monotonic() + RETRY_DELAY
            raise
