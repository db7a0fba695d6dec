"""The stored passwords for one login, each given once and none that was refused before."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.login_methods import KEYBOARD_INTERACTIVE, PASSWORD
from tunnelkeeper.ssh.auth.login_memory import STORED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.questions.sources import AnswerSources, Found, HopKey
    from tunnelkeeper.ssh.auth.login_memory import LoginMemory
    from tunnelkeeper.ssh.auth.login_request import LoginProgress


@dataclass(slots=True)
class StoredPasswords:
    """The passwords that sources have for a hop, in the order of the sources.

    has_refused: whether a password was left out or refused. problem: which one, or empty.
    """

    host: Host
    key: HopKey
    sources: AnswerSources
    memory: LoginMemory
    progress: LoginProgress
    has_refused: bool = False
    problem: str = ""
    _found: AsyncIterator[Found] | None = None
    _next: Found | None = None

    async def has_next(self) -> bool:
        """Return whether there is another password, and keep it for `take`."""
        if self._next is None:
            self._next = await self._search()
        return self._next is not None

    async def take(self) -> Found | None:
        """Return the next password, or None. The caller wipes it."""
        await self.has_next()
        found, self._next = self._next, None
        return found

    def restart(self) -> None:
        """Search from the beginning, on a new connection. What was refused is not given again."""
        self._drop_next()
        self._found = None

    async def close(self) -> None:
        """Wipe what was not used, and end the search."""
        self._drop_next()
        close = getattr(self._found, "aclose", None)
        if close is not None:
            with suppress(RuntimeError):  # it still runs: its task ends with the connection
                await close()

    def _drop_next(self) -> None:
        if self._next is not None:
            self._next.secret.wipe()
            self._next = None

    async def _search(self) -> Found | None:
        if self._found is None:
            self._found = aiter(self.sources.passwords(self.host, self.key, self.progress))
        methods = (PASSWORD, KEYBOARD_INTERACTIVE, STORED)
        while (found := await anext(self._found, None)) is not None:
            if not self.memory.has_refused(self.key, methods, [found.secret]):
                return found
            found.secret.wipe()
            self.has_refused = True
            self.problem = f"the password from {found.source} was refused before"
        return None
