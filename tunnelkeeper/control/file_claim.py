"""The claim of a supervisor to a config file: one file has one supervisor, whatever its socket.

Machines that share a home folder do not exclude each other: each may run the file's tunnels.

A supervisor of all tunnels holds the claim file with an exclusive lock, and its socket's path is in
there. Supervisors of single tunnels (a unit for each) share that lock, and each holds a claim file
for every tunnel that it runs. As with the lock of a socket, a claim ends with its process.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING

from tunnelkeeper.control.api import RequestFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable

LOCK_TIMEOUT = 1.0
"""Seconds to try: a command that looks for the supervisor holds the lock for an instant."""

_POLL_INTERVAL = 0.02
_SIZE_LIMIT = 8192
_DAMAGE = "surrogateescape"  # any path that the system allows


class FileClaimedError(RequestFailedError):
    """Another supervisor runs this file, or one of these tunnels. The text says which."""


class FileClaim:
    """The claim of this process to a config file, or to single tunnels of it.

    folder: where claim files are. config: the config file. socket: our control socket. is_partial:
    whether only the tunnels named to `claim` are ours.
    """

    def __init__(self, folder: Path, config: Path, socket: Path, *, is_partial: bool) -> None:
        self._config = config
        # Once: a link can change, and the event loop must not wait for the disk that it is on.
        self._file = claim_path(folder, config)
        self._socket = socket
        self._is_partial = is_partial
        self._claimed: dict[str, int] = {}

    def acquire(self) -> None:
        """Claim the file. Raises FileClaimedError, and OSError if that cannot be written."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kind = fcntl.LOCK_SH if self._is_partial else fcntl.LOCK_EX
        descriptor = _lock(self._file, kind, LOCK_TIMEOUT)
        if descriptor is None:
            raise FileClaimedError(self._describe_holders())
        if not self._is_partial:
            _write(descriptor, self._socket)
        self._claimed[""] = descriptor

    def claim(self, tunnels: Iterable[str]) -> None:
        """Claim single tunnels. Claim nothing if one of them is another's.

        It has no effect if the whole file is ours, or if `acquire` failed. Raises FileClaimedError
        and OSError.
        """
        if not self._is_partial or not self._claimed:
            return
        new: dict[str, int] = {}
        try:
            for name in tunnels:
                if name in self._claimed:
                    continue
                path = self._file.with_suffix(f".{name}.lock")
                descriptor = _lock(path, fcntl.LOCK_EX, 0)
                if descriptor is None:
                    raise FileClaimedError(
                        f"the tunnel {name!r} of {self._config} is held by {_holder(path)}"
                    )
                _write(descriptor, self._socket)
                new[name] = descriptor
        except BaseException:
            for descriptor in new.values():
                os.close(descriptor)
            raise
        self._claimed |= new

    def release(self) -> None:
        """Give everything up."""
        for descriptor in self._claimed.values():
            os.close(descriptor)
        self._claimed.clear()

    def _describe_holders(self) -> str:
        if _is_locked(self._file, fcntl.LOCK_SH):
            return f"{self._config} is held by {_holder(self._file)}"
        holders = [
            f"{_tunnel_of(each)!r} by {_holder(each)}"
            for each in sorted(self._file.parent.glob(f"{self._file.stem}.*.lock"))
            if _is_locked(each, fcntl.LOCK_SH)
        ]
        return f"single tunnels of {self._config} are held: {'; '.join(holders) or 'one'}"


def claim_path(folder: Path, config: Path) -> Path:
    """Return the claim file of a config file on this machine."""
    # Path.resolve() of Python 3.11 raises RuntimeError for links that form a loop.
    name = f"{gethostname()}:{os.path.realpath(config)}"
    return folder / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.lock"


def socket_of_holder(folder: Path, config: Path) -> Path | None:
    """Return the control socket of the supervisor that holds all of a config file, if any."""
    path = claim_path(folder, config)
    try:
        is_held = _is_locked(path, fcntl.LOCK_SH)
    except OSError:
        return None
    return _read(path)[1] if is_held else None


def _lock(path: Path, kind: int, timeout: float) -> int | None:
    """Lock a file, creating it. Return its descriptor, or None if another process holds it.

    timeout: seconds to try.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
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


def _is_locked(path: Path, kind: int) -> bool:
    """Return whether a lock of this kind would have to wait. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _write(descriptor: int, socket: Path) -> None:
    """Write our process id and socket, for people and for `socket_of_holder`.

    A full disk is no error. Raises OSError.
    """
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n{socket}\n".encode(errors=_DAMAGE))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise


def _read(path: Path) -> tuple[str, Path | None]:
    """Return the process id and the socket in a claim file, as far as they are there."""
    try:
        with path.open("rb") as file:
            pid, _, socket = file.read(_SIZE_LIMIT).decode(errors=_DAMAGE).partition("\n")
    except OSError:
        return "", None
    return pid, Path(socket.removesuffix("\n")) if socket.startswith("/") else None


def _holder(path: Path) -> str:
    pid, socket = _read(path)
    return f"the supervisor {f'with process id {pid} ' if pid else ''}at {socket or '?'}"


def _tunnel_of(path: Path) -> str:
    return path.stem.partition(".")[2]
