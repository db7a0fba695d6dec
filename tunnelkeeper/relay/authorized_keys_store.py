"""Cache of the authorized_keys files of all users, reread when a file changes.

It maps users to files and does not interpret key options.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.relay import authorized_keys
from tunnelkeeper.relay.authorized_keys import AuthorizedKey
from tunnelkeeper.ssh.auth.file_cache import FileCache

if TYPE_CHECKING:
    import os

log = logging.getLogger(__name__)

SIZE_LIMIT = 16 * 1024 * 1024
"""Maximum bytes of one file: about a hundred thousand keys."""

_USER_TOKEN = "%u"  # noqa: S105  sshd_config(5), TOKENS
# A user name becomes part of a path, so slashes and leading dots are not allowed.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")

Keys = tuple[AuthorizedKey, ...]


class AuthorizedKeysStore:
    """The keys of all users. pattern: an absolute path with sshd_config(5)'s %u and %%."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._files = FileCache(_load)

    def keys_for(self, user: str) -> Keys:
        """Return the keys that may log in as a user; empty for an unknown user."""
        if not _USER.fullmatch(user):
            return ()
        return self._read_keys(self._path_for(user))

    def _path_for(self, user: str) -> Path:
        # One pass, so that neither a user name nor "%%u" is expanded again.
        tokens = {"%%": "%", _USER_TOKEN: user}
        return Path(re.sub("%[%u]", lambda token: tokens[token[0]], self.pattern))

    def _read_keys(self, path: Path) -> Keys:
        try:
            return self._files.get(str(path))
        except (OSError, ValueError) as error:
            if not isinstance(error, FileNotFoundError) or _USER_TOKEN not in self.pattern:
                log.error("cannot read authorized keys: %s", printable(str(error), 1000))  # noqa: TRY400
            return ()


def _load(path: str, _status: os.stat_result) -> Keys:
    """Read a file and log a warning for each skipped line.

    Raises OSError, ValueError.
    """
    with Path(path).open("rb") as file:
        data = file.read(SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        raise ValueError(f"{path}: longer than {SIZE_LIMIT} bytes")
    # Bytes that are not UTF-8 are harmless in a comment; elsewhere the line is skipped.
    keys, warnings = authorized_keys.parse(data.decode("utf-8", "backslashreplace"), path)
    for warning in warnings:
        log.warning("%s", warning)
    return keys


def find_problems(pattern: str) -> list[str]:
    """Return the warnings of `relay check`: skipped lines and missing files."""
    paths = _files(pattern)
    if not paths:
        return [f"{pattern}: no such file; no user can log in"]
    problems: list[str] = []
    for path in paths:
        try:
            text = path.read_bytes().decode("utf-8", "backslashreplace")
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
        else:
            problems += authorized_keys.parse(text, str(path))[1]
    return problems


def _files(pattern: str) -> list[Path]:
    """Return the existing files that match a pattern."""
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
        if _USER.fullmatch(user) and entry.name == f"{start}{user}{end}" and path.is_file():
            matching.append(path)
    return matching
