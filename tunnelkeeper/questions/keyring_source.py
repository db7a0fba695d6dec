"""The keyring of the desktop, by the package `keyring` (the extra `tunnelkeeper[keyring]`).

The package is imported when a host with `keyring = true` needs an answer. Nothing is written to a
keyring.
"""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from tunnelkeeper.core.secret import Secret
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.net.thread_executor import SerialExecutor
from tunnelkeeper.questions.sources import Found, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.questions.sources import HopKey, Log

SERVICE = "tunnelkeeper"
"""The name of the service under which passwords are looked up."""

KEYRING_TIMEOUT = 10.0
"""Seconds for one lookup. A locked keyring may wait for a person; then it has no answer."""

NAME = "the keyring"
INSTALL_HINT = (
    "keyring = true needs the package keyring; install it, for example: "
    "pipx inject tunnelkeeper keyring"
)


class Backend(Protocol):
    """The part of the package `keyring` that is used."""

    def get_password(self, service: str, username: str) -> str | None:
        """Return a stored password, or None. It blocks, and may wait for a person."""


def load_backend() -> Backend:
    """Import the package. Raises ImportError."""
    return cast("Backend", importlib.import_module("keyring"))


@dataclass(slots=True)
class Keyring:
    """Answers from the keyring: the password of `user@host:port`, or of the path of a key.

    load: returns what is asked; called once. A lookup that hangs does not block other calls.
    """

    load: Callable[[], Backend] = load_backend
    timeout: float = KEYRING_TIMEOUT
    _backend: Backend | None = None
    _executor: SerialExecutor = field(default_factory=SerialExecutor)

    async def passphrase(self, host: Host, path: str, log: Log) -> Found | None:
        """Return the passphrase of a key file, or None. Raises SourceError."""
        del log
        return await self._find(path) if host.keyring else None

    async def password(self, host: Host, key: HopKey, log: Log) -> Found | None:
        """Return the password for a hop, or None. Raises SourceError."""
        del log
        return await self._find(key.hop) if host.keyring else None

    async def _find(self, username: str) -> Found | None:
        try:
            async with asyncio.timeout(self.timeout) as limit:
                password = await self._executor.call(SERVICE, lambda: self._get(username))
        except TimeoutError:
            if not limit.expired():
                raise
            raise SourceError(
                f"{NAME} has not answered within {self.timeout:g} s; it may be locked"
            ) from None
        except ImportError:
            raise SourceError(INSTALL_HINT) from None
        except Exception as error:  # noqa: BLE001  a backend raises what it wants
            end_if_out_of_memory()
            # The text of the error could quote what is stored.
            raise SourceError(f"{NAME} failed: {printable(type(error).__name__)}") from None
        return Found(Secret.from_text(password), NAME) if password else None

    def _get(self, username: str) -> str | None:
        if self._backend is None:
            self._backend = self.load()
        return self._backend.get_password(SERVICE, username)
