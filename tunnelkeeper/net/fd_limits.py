"""This process's share of file descriptors: all that it may have, and what is kept back of them.

It opens nothing but listening sockets, and says nothing to anybody: who is refused a descriptor
makes a failure of it. It runs nothing either; it says how.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

RESERVE = 32
"""Descriptors that clients of forwards leave to whoever asks for the status, to logins and to
`ssh -G`. Of a small limit it is a quarter."""

RETRY_DELAY = 0.9
"""Seconds in which a listener that is out of descriptors is not tried again. asyncio looks after a
second, but until then it asks as often as its backlog is long (CPython 3.11)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many descriptors: for now (soft), and at most (hard). See getrlimit(2)."""

    soft: int
    hard: int


@cache
def inherited() -> Limit:
    """The limit that this process was started with; children of ours get it back."""
    return Limit(*resource.getrlimit(resource.RLIMIT_NOFILE))


def raise_limit() -> None:
    """Allow ourselves as many descriptors as we may have; where that is refused, as many as now."""
    limit = inherited()
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit.hard, limit.hard))


def with_inherited_limit(command: Sequence[str]) -> list[str]:
    """The command line that runs a command with the limit that we were started with.

    A program that expects small numbers, or closes each that there might be, would suffer from
    ours. Raises OSError where there is no such program.
    """
    limit = inherited()
    if resource.getrlimit(resource.RLIMIT_NOFILE) == (limit.soft, limit.hard):
        return [*command]
    program = shutil.which(command[0])
    if program is None:
        is_there = os.sep in command[0] and Path(command[0]).exists()
        number = errno.EACCES if is_there else errno.ENOENT
        raise OSError(number, os.strerror(number), command[0])
    # Not between fork and exec: a process with threads must not run Python there. A shell starts
    # ten times sooner than Python. It reads none of the words: they are its parameters.
    script = f'ulimit -S -n {_ulimit_text(limit.soft)}; exec "$@"'
    return ["/bin/sh", "-c", script, "sh", program, *command[1:]]


def _ulimit_text(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)


def are_exhausted() -> bool:
    """Whether not one more can be had now."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return True
    return False


def reserve_fd(open_socket: socket.socket) -> None:
    """See that a client's descriptor would not be one of those that are kept back.

    open_socket: any socket that is open. Raises OSError: EMFILE.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(open_socket.fileno())  # always the lowest: dup(2)
    os.close(lowest_free)
    if lowest_free >= limit - min(RESERVE, limit // 4):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class AcceptingSocket(socket.socket):
    """One for asyncio's servers that lets clients wait while there are no descriptors for them."""

    _starved_until = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """Take a client.

        Raises OSError: EMFILE once a second, which lets asyncio wait, and else EAGAIN.
        """
        if time.monotonic() < self._starved_until:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        try:
            return super().accept()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                self._starved_until = time.monotonic() + RETRY_DELAY
            raise
