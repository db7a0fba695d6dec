"""The users and passwords of a SOCKS proxy (RFC 1929), in a file that only its owner can read.

Each line is `user:password`. Empty lines and lines that begin with # are skipped. The file is read
for each login, in a thread, so that a new password takes effect at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import shlex
import stat
from typing import TYPE_CHECKING

from msgspec import Struct

from tunnelkeeper.core.message import HintedError
from tunnelkeeper.net.file_trust import find_distrust
from tunnelkeeper.net.regular_file import read_regular_file

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE_LIMIT = 64 * 1024
FIELD_LIMIT = 255
"""Bytes of a user name or password: RFC 1929 has one byte for each length."""

READ_TIMEOUT = 5.0
"""Seconds that a client waits for the file, whose file system may hang."""

_OTHERS_ACCESS = stat.S_IRWXG | stat.S_IRWXO


class PasswordFileError(HintedError):
    """The file cannot be used. The text names it and says why, and has nothing of its content."""


class Passwords(Struct, frozen=True):
    """Users and their passwords, as digests: all have the same length."""

    digests: frozenset[bytes]

    def accept(self, user: bytes, password: bytes) -> bool:
        """Return whether a login is right. The time depends on neither field's content."""
        given = _digest(user, password)
        is_right = False
        for known in self.digests:
            is_right |= hmac.compare_digest(given, known)
        return is_right


def parse_passwords(data: bytes) -> Passwords:
    """Parse the content of a file.

    Raises ValueError with the number of the line that is wrong.
    """
    digests = set()
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        user, colon, password = line.partition(b":")
        if not (colon and user and password):
            raise ValueError(f"line {number}: expected user:password")
        if max(len(user), len(password)) > FIELD_LIMIT:
            raise ValueError(f"line {number}: longer than {FIELD_LIMIT} bytes (RFC 1929)")
        digests.add(_digest(user, password))
    if not digests:
        raise ValueError("expected a line user:password, found none")
    return Passwords(frozenset(digests))


def read_passwords(path: str) -> Passwords:
    """Read a file. `~` is the user's home. This call blocks.

    Raises PasswordFileError.
    """
    name = os.path.expanduser(path)  # noqa: PTH111  raises nothing
    try:
        if (distrust := find_distrust(name)) is not None:
            raise PasswordFileError(f"password file {path}: {distrust}")
        mode = stat.S_IMODE(os.stat(name).st_mode)  # noqa: PTH116
        if mode & _OTHERS_ACCESS:
            raise PasswordFileError(
                f"password file {path}: others can read it (mode {mode:04o})",
                f"chmod 600 {shlex.quote(path)}",
            )
        return parse_passwords(read_regular_file(name, SIZE_LIMIT))
    except OSError as error:
        raise PasswordFileError(f"password file {path}: {error.strerror}") from None
    except ValueError as error:
        raise PasswordFileError(f"password file {path}: {error}") from None


class PasswordFile:
    """Reads a file for clients that log in. Clients that come meanwhile share one reading."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._reading: asyncio.Future[Passwords] | None = None

    def read(self, on_read: Callable[[Passwords], None], on_error: Callable[[str], None]) -> None:
        """Call on_read with the passwords, or on_error with a message after READ_TIMEOUT at most.

        It calls exactly one of them, and later.
        """
        loop = asyncio.get_running_loop()
        if self._reading is None or self._reading.done():
            self._reading = loop.run_in_executor(None, read_passwords, self._path)
        reading = self._reading
        timeout = f"password file {self._path}: not read within {READ_TIMEOUT:g} s"
        deadline = loop.call_later(READ_TIMEOUT, lambda: finish(TimeoutError(timeout)))
        is_finished = False

        def finish(error: BaseException | None) -> None:
            nonlocal is_finished
            if is_finished:
                return
            is_finished = True
            deadline.cancel()
            if error is None:
                on_read(reading.result())
            else:
                on_error(str(error))

        def on_done(done: asyncio.Future[Passwords]) -> None:
            finish(asyncio.CancelledError() if done.cancelled() else done.exception())

        reading.add_done_callback(on_done)


def _digest(user: bytes, password: bytes) -> bytes:
    """Return a digest of both. The length in front separates the fields."""
    return hashlib.sha256(bytes([len(user) & 0xFF]) + user + password).digest()
