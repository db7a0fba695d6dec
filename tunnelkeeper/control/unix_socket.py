"""The control socket as a file, and the lock beside it that makes its holder the only server.

The socket is created in a private folder and removed only if it is still ours. The holder of the
lock replaces a file found in its place: that file belongs to a dead supervisor.
"""

from __future__ import annotations

import os
import shlex
import socket
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from tunnelkeeper.control import lock_files
from tunnelkeeper.core.message import HintedError
from tunnelkeeper.net.fd_limits import AcceptingSocket
from tunnelkeeper.net.file_trust import find_distrust

if TYPE_CHECKING:
    from pathlib import Path

PATH_LIMIT = 103
"""Bytes. sun_path of macOS holds 104 with the final zero, that of Linux 108 (unix(7))."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ONLY_OWNER_RW = 0o177
_OTHER_PATH = "choose another path with --socket PATH"


class SocketFileError(HintedError):
    """The control socket cannot be created here. The text gives the reason."""


class ListeningSocket(Struct, frozen=True):
    """A listening socket and its file."""

    sock: socket.socket
    path: Path
    identity: tuple[int, int]

    def remove(self) -> None:
        """Remove the file unless another socket has replaced it. The socket stays open."""
        with suppress(FileNotFoundError):
            if _file_identity(self.path) == self.identity:
                self.path.unlink()


def path_problem(path: Path) -> str | None:
    """Return why the path of a control socket cannot be used, and a remedy; None if it can."""
    if len(os.fsencode(path)) > PATH_LIMIT:
        return (
            f"longer than the {PATH_LIMIT} bytes that a socket path can have; "
            "choose a shorter path with --socket"
        )
    return None


def make_private_folder(folder: Path) -> None:
    """Create a folder (0700, its missing parents too), or check that only its owner can write.

    No user except root may be able to replace it or a folder on the way to it.

    Raises SocketFileError, OSError.
    """
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise SocketFileError(
            f"{folder}: belongs to user id {found.st_uid}, not to {os.geteuid()}", _OTHER_PATH
        )
    if found.st_mode & _OTHERS_WRITE:
        raise SocketFileError(
            f"{folder}: others can write to it (mode {stat.S_IMODE(found.st_mode):04o})",
            f"chmod 700 {shlex.quote(str(folder))}",
        )
    if (distrust := find_distrust(folder)) is not None:
        raise SocketFileError(str(distrust), _OTHER_PATH)


def listen(path: Path) -> ListeningSocket:
    """Listen on a socket file in a private folder. The file has mode 0600 from the beginning.

    Raises SocketFileError, OSError.
    """
    if problem := path_problem(path):
        raise SocketFileError(f"{path}: {problem}")
    make_private_folder(path.parent)
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketFileError(
                f"{path}: exists and is not a socket", f"remove it, or {_OTHER_PATH}"
            )
        if _has_listener(path):
            raise SocketFileError(
                f"{path}: another program listens there, and is left alone", _OTHER_PATH
            )
        path.unlink()
    sock = AcceptingSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # A chmod after bind() would leave the socket open to others for a moment.
        before = os.umask(_ONLY_OWNER_RW)
        try:
            sock.bind(os.fspath(path))
        finally:
            os.umask(before)
        sock.listen()
        return ListeningSocket(sock, path, _file_identity(path))
    except BaseException:
        sock.close()
        raise


def _has_listener(path: Path) -> bool:
    """Return whether a program has this socket open. It is none of ours: we hold the lock."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            return False
        except FileNotFoundError:
            raise
        except OSError:  # the queue of a live listener is full, or it is a datagram socket
            return True
        return True


def _file_identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


class AlreadyRunningError(Exception):
    """Another supervisor holds the lock."""


def acquire_lock(path: Path) -> int:
    """Take the lock and return the descriptor that holds it until it is closed.

    The supervisor never closes it: the lock ends with the process, so a free lock means that
    nothing of the supervisor is left. Raises AlreadyRunningError, and OSError if the file cannot
    be created.
    """
    descriptor = lock_files.lock(path, f"{os.getpid()}\n")
    if descriptor is None:
        raise AlreadyRunningError(str(path))
    return descriptor
