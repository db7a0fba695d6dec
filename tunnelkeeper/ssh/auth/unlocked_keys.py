"""The decrypted private keys that this process holds in memory, as ssh-agent holds its own.

It keeps no passphrase. A key belongs to one version of one file; when the file changes, the key is
forgotten.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.ssh.auth.file_cache import file_signature

if TYPE_CHECKING:
    from collections.abc import Callable

    import asyncssh

    from tunnelkeeper.ssh.auth.file_cache import Signature

LOOK_INTERVAL = 60.0
"""Seconds between looks at the clock while a key has a time limit. The loop's clock stands still
while the machine sleeps, so a single timer would be late by that time."""


def awake_or_asleep() -> float:
    """Return seconds that include the time asleep, as the lifetimes of ssh-agent do."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # CLOCK_BOOTTIME: Linux only
    return time.clock_gettime(clock)


@dataclass(frozen=True, slots=True)
class KeyFileVersion:
    """One version of a key file: its real path, and what changes when the file does."""

    path: str
    signature: Signature

    @classmethod
    def of(cls, path: str) -> KeyFileVersion:
        """Return the version that a path has now. Raises OSError. This blocks."""
        real = os.path.realpath(path)
        return cls(real, file_signature(Path(real).stat()))


@dataclass(slots=True, repr=False)
class _Entry:
    version: KeyFileVersion
    key: asyncssh.SSHKey
    expires_at: float


@dataclass(slots=True)
class UnlockedKeys:
    """Decrypted keys, by real path.

    Threads may call `find`; all else is for the event loop.

    Attributes:
        now: Returns the time in seconds, including the time asleep.
        call_later: Schedules a call on the running loop.
    """

    now: Callable[[], float] = awake_or_asleep
    call_later: Callable[[float, Callable[[], None]], object] | None = None
    _entries: dict[str, _Entry] = field(default_factory=dict, repr=False)
    _is_scheduled: bool = False

    def __len__(self) -> int:
        """Return the number of keys."""
        self.expire()
        return len(self._entries)

    def add(self, version: KeyFileVersion, key: asyncssh.SSHKey, seconds: float = inf) -> None:
        """Hold a key for a time, counted from now."""
        self._entries[version.path] = _Entry(version, key, self.now() + seconds)
        self._schedule()

    def find(self, version: KeyFileVersion) -> asyncssh.SSHKey | None:
        """Return the key of this version of a file, if it is held."""
        entry = self._entries.get(version.path)
        if entry is None or entry.expires_at <= self.now():
            return None
        return entry.key if entry.version == version else None

    def limit(self, path: str, seconds: float) -> None:
        """Hold the key of a real path for this time from now at most, if it is held."""
        entry = self._entries.get(path)
        if entry is not None:
            entry.expires_at = min(entry.expires_at, self.now() + seconds)
            self._schedule()

    def forget(self) -> int:
        """Forget all keys. Return how many there were."""
        count = len(self)
        self._entries.clear()
        return count

    def expire(self) -> None:
        """Forget the keys whose time is over."""
        now = self.now()
        for path, entry in list(self._entries.items()):
            if entry.expires_at <= now:
                del self._entries[path]

    def _schedule(self) -> None:
        """Look at the clock when the next key may have to be forgotten, unless that is planned."""
        limits = [e.expires_at for e in self._entries.values() if e.expires_at < inf]
        if limits and not self._is_scheduled:
            self._is_scheduled = True
            delay = min(max(0.0, min(limits) - self.now()), LOOK_INTERVAL)
            call_later = self.call_later or asyncio.get_running_loop().call_later
            call_later(delay, self._look)

    def _look(self) -> None:
        self._is_scheduled = False
        self.expire()
        self._schedule()
