"""The claim of a supervisor to a config file: one file has one supervisor, whatever its socket.

Machines that share a home folder do not exclude each other: each may run the file's tunnels.

A supervisor of all tunnels holds the claim file with an exclusive lock, and its socket's path is in
there. Supervisors of single tunnels (a unit for each) share that lock, and each holds a claim file
for every tunnel that it runs. As with the lock of a socket, a claim ends with its process.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING

from tunnelkeeper.control import lock_files
from tunnelkeeper.control.api import RequestFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable

LOCK_TIMEOUT = 1.0
"""Seconds to try: a command that looks for the supervisor holds the lock for an instant."""

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
        self._text = f"{os.getpid()}\n{socket}\n"
        self._is_partial = is_partial
        self._claimed: dict[str, int] = {}

    def acquire(self) -> None:
        """Claim the file. Raises FileClaimedError, and OSError if that cannot be written."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._is_partial:
            descriptor = lock_files.lock_shared(self._file, timeout=LOCK_TIMEOUT)
        else:
            descriptor = lock_files.lock(self._file, self._text, timeout=LOCK_TIMEOUT)
        if descriptor is None:
            raise FileClaimedError(self._describe_holders(), _hint(self._file))
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
                descriptor = lock_files.lock(path, self._text)
                if descriptor is None:
                    raise FileClaimedError(
                        f"the tunnel {name!r} of {self._config} is held by {_holder(path)}",
                        _hint(path),
                    )
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
        if lock_files.is_locked(self._file):
            return f"{self._config} is held by {_holder(self._file)}"
        holders = [
            f"{_tunnel_of(each)!r} by {_holder(each)}"
            for each in sorted(self._file.parent.glob(f"{self._file.stem}.*.lock"))
            if lock_files.is_locked(each)
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
        is_held = lock_files.is_locked(path)
    except OSError:
        return None
    return _read(path)[1] if is_held else None


def _hint(path: Path) -> str:
    """Return the command that asks the holder of a claim, or an empty string."""
    socket = _read(path)[1]
    return shlex.join(["tunnelkeeper", "--socket", str(socket), "status"]) if socket else ""


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
