"""The control socket as a file: made in private, and removed only if it is ours.

It takes no lock: whoever makes a socket here holds the lock next to it, so a file found in its
place is a dead supervisor's.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.net.fd_limits import AcceptingSocket

if TYPE_CHECKING:
    from pathlib import Path

PATH_LIMIT = 103
"""Bytes: sun_path of macOS holds 104 with the final zero, Linux's 108 (unix(7))."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ONLY_OWNER_RW = 0o177


class SocketFileError(Exception):
    """The control socket cannot be made here; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """A listening socket and the file that it is reached by."""

    sock: socket.socket
    path: Path
    identity: tuple[int, int]

    def remove(self) -> None:
        """Remove the file, unless somebody else's has taken its place. Closes nothing."""
        with suppress(FileNotFoundError):
            if _identity(self.path) == self.identity:
                self.path.unlink()


def make_private_folder(folder: Path) -> None:
    """Make a folder (0700, its missing parents too), or see that nobody else can write to it.

    Raises SocketFileError, OSError.
    """
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise SocketFileError(
            f"{folder}: belongs to user id {found.st_uid}, not to {os.geteuid()}; "
            "choose another place with --socket"
        )
    if found.st_mode & _OTHERS_WRITE:
        raise SocketFileError(
            f"{folder}: others can write to it (mode {stat.S_IMODE(found.st_mode):04o}); "
            f"run `chmod 700 {folder}` or choose another place with --socket"
        )


def listen(path: Path) -> ListeningSocket:
    """Listen on a socket file of mode 0600 from the moment it exists, in a private folder.

    Raises SocketFileError, OSError.
    """
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise SocketFileError(
            f"{path}: longer than the {PATH_LIMIT} bytes of a socket's path; "
            "choose a shorter one with --socket"
        )
    make_private_folder(path.parent)
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketFileError(f"{path}: exists and is not a socket; remove it or use --socket")
        path.unlink()
    sock = AcceptingSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(_ONLY_OWNER_RW)  # a chmod afterwards would leave a moment between
        try:
            sock.bind(os.fspath(path))
        finally:
            os.umask(before)
        sock.listen()
        return ListeningSocket(sock, path, _identity(path))
    except BaseException:
        sock.close()
        raise


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
