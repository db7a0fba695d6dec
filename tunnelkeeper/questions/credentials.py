"""Credentials of systemd: files in $CREDENTIALS_DIRECTORY, named after a host or a key.

See CREDENTIALS in systemd.exec(5). A file is read each time that its answer is needed.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.core.questions import MAX_ANSWER_SIZE
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.net.thread_executor import SerialExecutor
from tunnelkeeper.questions.sources import Found, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.questions.sources import HopKey, Log

VARIABLE = "CREDENTIALS_DIRECTORY"
FILE_LIMIT = 64 * 1024
"""Bytes of a file; only its first line counts."""

_ESCAPED = re.compile(rb"[^A-Za-z0-9._@-]")


def password_credential(host: str) -> str:
    """Return the name of the credential with the password for a host of the config file."""
    return f"password-{_escape(host)}"


def passphrase_credentials(path: str) -> tuple[str, str]:
    """Return the names of credentials with the passphrase of a key file, best first."""
    return f"passphrase-{_escape(path)}", f"passphrase-{_escape(Path(path).name)}"


def _escape(text: str) -> str:
    """Return a text that systemd accepts in the name of a credential, and no other text gives."""
    encoded = text.encode("utf-8", "surrogateescape")
    return _ESCAPED.sub(lambda found: b"=%02X" % found[0][0], encoded).decode("ascii")


@dataclass(slots=True)
class Credentials:
    """The credentials that a service manager passed to this process."""

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _executor: SerialExecutor = field(default_factory=SerialExecutor)

    async def passphrase(self, host: Host, path: str, log: Log) -> Found | None:
        """Return the passphrase of a key file, or None without a credential for it.

        Raises:
            SourceError: The credential cannot be read, or is empty.
            OSError: This machine is out of resources (EXHAUSTION_ERRNOS).
        """
        del host, log
        for name in passphrase_credentials(path):
            if (found := await self._find(name)) is not None:
                return found
        return None

    async def password(self, host: Host, key: HopKey, log: Log) -> Found | None:
        """Return the password for a hop, or None without a credential for its host.

        Raises as `passphrase` does.
        """
        del key, log
        return await self._find(password_credential(host.name))

    async def _find(self, name: str) -> Found | None:
        folder = self.environment.get(VARIABLE)
        if not folder:
            return None
        shown = f"the credential {printable(name)}"
        path = Path(folder, name)
        try:
            data = await self._executor.read(name, lambda: read_regular_file(path, FILE_LIMIT))
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in EXHAUSTION_ERRNOS:
                raise
            raise SourceError(f"{shown} cannot be read: {os_error_text(error)}") from None
        line = data.partition(b"\n")[0].removesuffix(b"\r")
        if not line:
            raise SourceError(f"{shown} has an empty first line")
        if len(line) > MAX_ANSWER_SIZE:
            raise SourceError(f"{shown} has more than {MAX_ANSWER_SIZE} bytes in its first line")
        return Found(Secret(line), shown)
