"""The file of `revoked_keys`, RevokedKeys of sshd_config(5): whether it revokes an offered key.

As in sshd, no key can log in while the file cannot be read. `ssh.auth.revocation_list` parses it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.config import Problem
from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.ssh.auth.revoked_keys import (
    RevokedKeyFiles,
    RevokedKeys,
    UnreadableListError,
)

if TYPE_CHECKING:
    from tunnelkeeper.relay.key_auth import Candidate

log = logging.getLogger(__name__)


class UnreadableForNowError(UnreadableListError):
    """Raised if this machine is out of resources; the file itself may be in order."""


@dataclass(slots=True)
class RevokedKeysFile:
    """The current list; its path is a parameter, because a reload can change it."""

    _files: RevokedKeyFiles = field(default_factory=RevokedKeyFiles)
    _reported: str = ""

    async def read(self, path: str) -> RevokedKeys:
        """Return the list, which is empty without a path. The file is read in a thread.

        Raises UnreadableListError, and logs it once until the file can be read again.
        """
        try:
            found = await self._files.read((path,) if path else ())
        except (OSError, UnreadableListError) as error:
            reason = _reason(path, error)
            if reason != self._reported:
                self._reported = reason
                log.error("cannot read revoked_keys, so no key can log in: %s", reason)  # noqa: TRY400
            is_temporary = isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS
            kind = UnreadableForNowError if is_temporary else UnreadableListError
            raise kind(reason) from None
        if self._reported:
            self._reported = ""
            log.info("revoked_keys can be read again: %s", printable(path, 4096))
        return found

    async def denial(self, path: str, key: Candidate) -> str | None:
        """Return why a key may not log in, for the log, or None.

        Raises UnreadableForNowError: then nothing is known about the key.
        """
        try:
            return revocation(await self.read(path), key)
        except UnreadableForNowError:
            raise
        except UnreadableListError as error:
            return f"revoked_keys cannot be read: {error}"


def revocation(revoked: RevokedKeys, key: Candidate) -> str | None:
    """Return the sentence for a key, certificate or authority that a list revokes, or None."""
    file = revoked.file_that_revokes(key.presented)
    return None if file is None else f"the key is revoked ({printable(file, 4096)})"


def find_problems(path: str) -> list[Problem]:
    """Return the problem that keeps every key out, for `relay check`."""
    try:
        RevokedKeyFiles().read_blocking((path,) if path else ())
    except (OSError, UnreadableListError) as error:
        message = f"{_reason(path, error).removeprefix(f'{path}: ')}; no key can log in"
        return [Problem(path, None, "", message)]
    return []


def _reason(path: str, error: OSError | UnreadableListError) -> str:
    if isinstance(error, OSError):
        return printable(f"{path}: {os_error_text(error)}", 4096)
    return printable(str(error), 4096)
