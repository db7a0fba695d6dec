"""Cache of the authorized_keys files of all users, reread when a file changes.

It maps users to files and does not interpret key options.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from tunnelkeeper.config import Problem
from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.file_trust import describe_user
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.net.start_limiter import StartLimiter
from tunnelkeeper.net.thread_executor import SerialExecutor
from tunnelkeeper.relay import authorized_keys
from tunnelkeeper.relay.key_file import NO_KEYS, KeyFile
from tunnelkeeper.relay.strict_modes import UntrustedFileError, ensure_trusted
from tunnelkeeper.ssh.auth.file_cache import FileCache

log = logging.getLogger(__name__)

MAX_READS = 64
"""Files that are read at the same time. Clients choose user names, so a disk that hangs would
otherwise cost a thread for each name."""

READS_AT_ONCE, READ_PATIENCE = 32, 0.5
"""Reads that start at the same time, and seconds after which one no longer counts. Without that,
many users who come back at the same time would look like a disk that hangs."""

_USER_TOKEN = "%u"  # noqa: S105  sshd_config(5), TOKENS
# A user name becomes part of a path, so slashes and leading dots are not allowed.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def path_for(pattern: str, user: str) -> Path | None:
    """Return the file of a user's keys, or None for a text that is no user name."""
    if not _USER.fullmatch(user):
        return None
    # One pass, so that neither a user name nor "%%u" is expanded again.
    tokens = {"%%": "%", _USER_TOKEN: user}
    return Path(re.sub("%[%u]", lambda token: tokens[token[0]], pattern))


class UnreadableKeysError(Exception):
    """Raised if the keys of a user cannot be read. The text gives the reason.

    hint: what to do about it, or empty. is_temporary: this machine is out of resources, and the
    file itself may be in order.
    """

    def __init__(self, message: str, hint: str = "", *, is_temporary: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.is_temporary = is_temporary


class AuthorizedKeysStore:
    """The keys of all users. pattern: an absolute path with sshd_config(5)'s %u and %%.

    strict_modes: whether a file that other users could write authorizes no key.
    """

    def __init__(self, pattern: str, *, strict_modes: bool = True) -> None:
        self.pattern = pattern
        self._strict_modes = strict_modes
        self._files = FileCache(_load)
        self._executor = SerialExecutor()
        self._starts = StartLimiter(READS_AT_ONCE, READ_PATIENCE)

    async def keys_for(self, user: str) -> KeyFile:
        """Return the keys that may log in as a user; empty for an unknown user.

        An error is logged, and gives no keys. Raises UnreadableKeysError for a temporary one.
        """
        try:
            return await self.read(user)
        except UnreadableKeysError as error:
            if error.is_temporary:
                raise
            hint = {"hint": error.hint}
            log.error("cannot read authorized keys: %s", error, extra=hint)  # noqa: TRY400
            return NO_KEYS

    async def read(self, user: str) -> KeyFile:
        """Return the keys of a user, as `keys_for` does, but raise UnreadableKeysError.

        The file is read in a thread: one on a disk that hangs delays its own users only.
        """
        path = path_for(self.pattern, user)
        if path is None:
            return NO_KEYS
        async with self._starts.slot():
            if len(self._executor) >= MAX_READS:
                raise UnreadableKeysError(f"{MAX_READS} other files are not read yet")
            try:
                return await self._executor.read(path, lambda: self._read_keys(path))
            except OSError as error:  # of the executor: the time is over
                is_temporary = error.errno in EXHAUSTION_ERRNOS
                message = f"{path}: {error.strerror}"
                raise UnreadableKeysError(message, is_temporary=is_temporary) from None

    def keys_for_blocking(self, user: str) -> KeyFile:
        """Return the keys that may log in as a user, without a thread."""
        path = path_for(self.pattern, user)
        try:
            return NO_KEYS if path is None else self._read_keys(path)
        except UnreadableKeysError as error:
            hint = {"hint": error.hint}
            log.error("cannot read authorized keys: %s", error, extra=hint)  # noqa: TRY400
            return NO_KEYS

    def _read_keys(self, path: Path) -> KeyFile:
        try:
            keys = self._files.get(str(path))
            if self._strict_modes:
                ensure_trusted(path)
        except FileNotFoundError as error:
            if _USER_TOKEN not in self.pattern:
                log.error("cannot read authorized keys: %s", printable(str(error), 1000))  # noqa: TRY400
            return NO_KEYS
        except UntrustedFileError as error:
            raise UnreadableKeysError(str(error), error.hint) from None
        except PermissionError:
            user = describe_user(os.geteuid())
            message = f"{printable(str(path), 1000)}: permission denied for {user}"
            hint = "the relay runs as this user, which has to read the file and enter its folders"
            raise UnreadableKeysError(message, hint) from None
        except (OSError, ValueError) as error:
            is_temporary = isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS
            message = printable(str(error), 1000)
            raise UnreadableKeysError(message, is_temporary=is_temporary) from None
        return keys


def _load(path: str, _status: os.stat_result) -> KeyFile:
    """Read a file and log a warning for each skipped line.

    Raises OSError, ValueError.
    """
    keys = KeyFile(read_regular_file(path), path)
    for warning in keys.warnings():
        log.warning("%s", warning)
    return keys


def find_problems(pattern: str) -> list[Problem]:
    """Return the warnings of `relay check`: skipped lines and missing files."""
    try:
        paths = existing_files(pattern)
    except OSError as error:  # sshd, too, needs no right to list the folder
        message = f"{error.strerror}; the files in it are not checked"
        return [Problem(str(error.filename), None, "", message)]
    if not paths:
        return [Problem(pattern, None, "", "no such file; no user can log in")]
    problems: list[Problem] = []
    for path in paths:
        try:
            text = read_regular_file(path).decode("utf-8", "backslashreplace")
        except OSError as error:
            problems.append(Problem(str(path), None, "", str(error.strerror)))
        else:
            skipped = authorized_keys.parse(text, str(path))[1]
            problems += [_skipped_line(str(path), warning) for warning in skipped]
    return problems


def _skipped_line(path: str, warning: str) -> Problem:
    """Return the problem for a warning of authorized_keys.parse."""
    number, _, reason = warning.removeprefix(f"{printable(path, 4096)}:").partition(": ")
    return Problem(path, int(number), "", reason)


def existing_files(pattern: str) -> list[Path]:
    """Return the existing files that match a pattern.

    Raises OSError if their folder cannot be listed.
    """
    before, token, after = pattern.partition(_USER_TOKEN)
    if not token:
        path = Path(pattern.replace("%%", "%"))
        return [path] if path.exists() else []
    folder = Path(before.rpartition("/")[0].replace("%%", "%") or "/")
    start = before.rpartition("/")[2]
    end, _, below = after.partition("/")
    matching = []
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        user = entry.name.removeprefix(start).removesuffix(end)
        path = entry / below if below else entry
        if _USER.fullmatch(user) and entry.name == f"{start}{user}{end}" and path.exists():
            matching.append(path)
    return matching
