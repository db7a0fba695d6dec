"""The authorized_keys files: the keys of each user, kept in memory, read again when they change.

It knows which file is whose and nothing of what a key may do.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from tunnelkeeper.core.text import printable
from tunnelkeeper.relay import authorized_keys
from tunnelkeeper.relay.authorized_keys import AuthorizedKey

log = logging.getLogger(__name__)

SIZE_LIMIT = 16 * 1024 * 1024
"""Bytes of one file: a hundred thousand keys."""

_USER_TOKEN = "%u"  # noqa: S105  sshd_config(5), TOKENS
# A user's name becomes part of a path, so it is a plain one: no slash, no dot in front.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")

Keys = tuple[AuthorizedKey, ...]
_Signature = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _CachedFile:
    """What a file held when it had this signature."""

    signature: _Signature
    keys: Keys


class AuthorizedKeysStore:
    """The keys of all users. pattern: an absolute path with sshd_config(5)'s %u and %%."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._cache: dict[Path, _CachedFile] = {}

    def keys_for(self, user: str) -> Keys:
        """The keys that may log in as a user; none for a user nobody knows."""
        if not _USER.fullmatch(user):
            return ()
        return self._read_keys(self._path_for(user))

    def _path_for(self, user: str) -> Path:
        # One pass, so that neither a user's name nor "%%u" is taken for a token.
        tokens = {"%%": "%", _USER_TOKEN: user}
        return Path(re.sub("%[%u]", lambda token: tokens[token[0]], self.pattern))

    def _read_keys(self, path: Path) -> Keys:
        try:
            status = path.stat()
            signature = (status.st_ino, status.st_mtime_ns, status.st_size)
            known = self._cache.get(path)
            if known is None or known.signature != signature:
                known = self._cache[path] = _CachedFile(signature, _load(path))
        except (OSError, ValueError) as error:
            self._cache.pop(path, None)
            if not isinstance(error, FileNotFoundError) or _USER_TOKEN not in self.pattern:
                log.error("cannot read authorized keys: %s", printable(str(error), 1000))  # noqa: TRY400
            return ()
        return known.keys


def _load(path: Path) -> Keys:
    """Read a file and log what is wrong with its lines.

    Raises OSError, ValueError.
    """
    with path.open("rb") as file:
        data = file.read(SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        raise ValueError(f"{path}: longer than {SIZE_LIMIT} bytes")
    # A byte that is no UTF-8 can only be in a comment, or its line is refused.
    keys, warnings = authorized_keys.parse(data.decode("utf-8", "backslashreplace"), str(path))
    for warning in warnings:
        log.warning("%s", warning)
    return keys


def find_problems(pattern: str) -> list[str]:
    """What `relay check` should say of the authorized keys: lines left out, files not there."""
    paths = _files(pattern)
    if not paths:
        return [f"{pattern}: no such file, so nobody can log in"]
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
    """The files that a pattern stands for now."""
    before, token, after = pattern.partition(_USER_TOKEN)
    if not token:
        path = Path(pattern.replace("%%", "%"))
        return [path] if path.exists() else []
    folder = Path(before.rpartition("/")[0].replace("%%", "%") or "/")
    start = before.rpartition("/")[2]
    end, _, below = after.partition("/")
    problems = []
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        user = entry.name.removeprefix(start).removesuffix(end)
        path = entry / below if below else entry
        if _USER.fullmatch(user) and entry.name == f"{start}{user}{end}" and path.is_file():
            problems.append(path)
    return problems
