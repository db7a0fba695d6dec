"""Answers that no person has to give now: where they are stored, and in which order they are tried.

It asks each source in turn and never keeps what a source gave, except passwords in memory that a
login has proved. Whether an answer serves is decided by its user.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tunnelkeeper.core.configuration import Host

MEMORY = "memory"
"""The name of the source that holds what a person has typed."""


class Log(Protocol):
    """Where sources report what they do; a ProgressListener is one."""

    def info(self, text: str) -> None:
        """Log an event that needs no action."""

    def warn(self, text: str) -> None:
        """Log a problem that the user should fix although the attempt continues."""


@dataclass(frozen=True, slots=True)
class HopKey:
    """A hop as passwords are stored for it: never by an alias, which can change its meaning.

    hop: `user@host:port`. way: the proxy command or the jump hosts through which it is reached,
    nearest first. The same address behind another jump host is another server.
    """

    hop: str
    way: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A stored answer. source: what it comes from, for messages. The receiver wipes the secret."""

    secret: Secret
    source: str


class SourceError(Exception):
    """A configured source gave no answer. The text is one printable sentence without secrets."""


class Source(Protocol):
    """One place where answers are stored."""

    async def passphrase(self, host: Host, path: str, log: Log) -> Found | None:
        """Return the passphrase of a key file, or None. Raises SourceError."""

    async def password(self, host: Host, key: HopKey, log: Log) -> Found | None:
        """Return the password for a hop, or None. Raises SourceError."""


class Search:
    """The stored answers to one question, each fetched when the one before did not serve.

    problems: why sources that are configured gave none so far. They are logged already. A source
    that failed may serve at a later attempt.
    """

    def __init__(
        self,
        fetches: list[Callable[[], Awaitable[Found | None]]],
        log: Log,
        problems: list[str] | None = None,
    ) -> None:
        self.problems: list[str] = [] if problems is None else problems
        self._fetches = fetches
        self._log = log

    async def __aiter__(self) -> AsyncIterator[Found]:
        self.problems.clear()
        for fetch in self._fetches:
            try:
                found = await fetch()
            except SourceError as error:
                self.problems.append(str(error))
                self._log.warn(str(error))
                continue
            if found is not None:
                yield found


@dataclass(slots=True)
class AnswerSources:
    """The stored answers of one process. sources: in the order in which they are tried.

    What was typed is kept in memory and comes last.
    """

    sources: tuple[Source, ...] = ()
    _problems: dict[HopKey | str, list[str]] = field(default_factory=dict, repr=False)
    _passwords: dict[HopKey, tuple[Secret, asyncio.TimerHandle | None]] = field(
        default_factory=dict, repr=False
    )

    def passphrases(self, host: Host, path: str, log: Log) -> Search:
        """Search the passphrases of a key file that a host uses."""
        stored = [_passphrase(source, host, path, log) for source in self.sources]
        return Search(stored, log, self._problems.setdefault(path, []))

    def passwords(self, host: Host, key: HopKey, log: Log) -> Search:
        """Search the passwords for a login on a host."""
        stored = [_password(source, host, key, log) for source in self.sources]
        fetches = [*stored, lambda: self._from_memory(key)]
        return Search(fetches, log, self._problems.setdefault(key, []))

    def problems(self, host: Host, key: HopKey) -> list[str]:
        """Return why sources failed in the last search for a password or a key of a host."""
        abouts: tuple[HopKey | str, ...] = (key, *host.identity_files)
        return [problem for about in abouts for problem in self._problems.get(about, [])]

    def remember_password(
        self, key: HopKey, password: Secret, lifetime: float | None = None
    ) -> None:
        """Keep a copy of a password that a login has proved. lifetime: seconds; None: no limit."""
        self.forget_password(key)
        timer = None
        if lifetime is not None:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(lifetime, self.forget_password, key)
        self._passwords[key] = (Secret(password.reveal()), timer)

    def forget_password(self, key: HopKey) -> None:
        """Wipe the password for a hop. It was refused, or its time is over."""
        password, timer = self._passwords.pop(key, (None, None))
        if password is not None:
            password.wipe()
        if timer is not None:
            timer.cancel()

    def forget_all(self) -> int:
        """Wipe all passwords. Return their number."""
        keys = list(self._passwords)
        for key in keys:
            self.forget_password(key)
        return len(keys)

    async def _from_memory(self, key: HopKey) -> Found | None:
        password, _ = self._passwords.get(key, (None, None))
        return None if password is None else Found(Secret(password.reveal()), MEMORY)


def _passphrase(
    source: Source, host: Host, path: str, log: Log
) -> Callable[[], Awaitable[Found | None]]:
    return lambda: source.passphrase(host, path, log)


def _password(
    source: Source, host: Host, key: HopKey, log: Log
) -> Callable[[], Awaitable[Found | None]]:
    return lambda: source.password(host, key, log)
