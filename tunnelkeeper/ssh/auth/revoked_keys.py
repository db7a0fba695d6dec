"""The files of RevokedHostKeys: read in a thread, parsed again only after a change.

As in ssh, a file that cannot be read or parsed revokes every key. `revocation_list` parses them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.net.thread_executor import SerialExecutor
from tunnelkeeper.ssh.auth.file_cache import FileCache
from tunnelkeeper.ssh.auth.known_hosts_file import TRANSIENT_ERRNOS
from tunnelkeeper.ssh.auth.revocation_list import RevocationList, RevocationListError, parse

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from tunnelkeeper.ssh.auth.openssh_certificate import PresentedKey


class UnreadableListError(Exception):
    """Raised for a file that cannot be read or parsed. The text has its path and the reason."""


@dataclass(frozen=True, slots=True)
class RevokedKeys:
    """The lists that apply to one host, by path."""

    lists: dict[str, RevocationList] = field(default_factory=dict)

    def file_that_revokes(self, key: PresentedKey) -> str | None:
        """Return the path of the first list that revokes a key, or None."""
        return next((path for path, found in self.lists.items() if found.revokes(key)), None)


@dataclass(slots=True)
class RevokedKeyFiles:
    """A cache of lists. Connections share it because a list may be large."""

    _files: FileCache[RevocationList] = field(default_factory=lambda: FileCache(_parse_file))
    _executor: SerialExecutor = field(default_factory=SerialExecutor)

    async def read(self, paths: tuple[str, ...]) -> RevokedKeys:
        """Read files in a thread. Raises as `read_blocking` does."""
        if not paths:
            return RevokedKeys()
        return await self._executor.read(paths, lambda: self.read_blocking(paths))

    def read_blocking(self, paths: Iterable[str]) -> RevokedKeys:
        """Read files.

        Raises UnreadableListError, and OSError with one of TRANSIENT_ERRNOS.
        """
        return RevokedKeys({path: self._read(path) for path in paths})

    def _read(self, path: str) -> RevocationList:
        try:
            return self._files.get(path)
        except RevocationListError as error:
            raise UnreadableListError(f"{path}: {error}") from None
        except OSError as error:
            if error.errno in TRANSIENT_ERRNOS:
                raise
            reason = os_error_text(error)
            raise UnreadableListError(f"{path}: {reason}") from None


def _parse_file(path: str, _status: os.stat_result) -> RevocationList:
    """Parse a file. Raises OSError and RevocationListError."""
    return parse(read_regular_file(path))
