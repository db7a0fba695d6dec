"""Detects changes of what a failure depended on: files, the agent's keys, the wall clock.

It polls once a second, because polling works on every file system and for every agent, and only
while a tunnel is blocked. Files are looked at in a thread: they may be on a disk that hangs.
"""

from __future__ import annotations

import asyncio
import glob
import os
from collections.abc import Awaitable, Callable, Iterable
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.net.thread_executor import READ_TIMEOUT, SerialExecutor
from tunnelkeeper.ssh.auth.file_cache import Signature, file_signature

if TYPE_CHECKING:
    from tunnelkeeper.clock import Clock
    from tunnelkeeper.core.failures import AgentKeys, Failure
    from tunnelkeeper.ssh.auth.agent import AgentKeyLists

POLL_INTERVAL = 1.0

_READS = SerialExecutor()
"""It lets a file that hangs block one more thread, however many attempts use it."""

Signatures = dict[str, Signature | None]
"""The signature of each file; None for a missing file."""

SignatureReader = Callable[[Iterable[str], float], Awaitable[Signatures]]
"""Returns the signatures of files, read after a monotonic time."""


class DependencyWatcher:
    """Watches what one failure depended on. Calls `on_change` once, with what has changed.

    It looks when a second of the clock begins, so that many watchers share one look.
    """

    def __init__(
        self,
        clock: Clock,
        agents: AgentKeyLists,
        read: SignatureReader,
        on_change: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._agents = agents
        self._read = read
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None

    def start(self, failure: Failure, before: Signatures, tasks: asyncio.TaskGroup) -> None:
        """Watch for this failure instead of the previous one.

        before: the signatures of its files. A change since then counts.
        """
        self.stop()
        if before or failure.agent is not None or failure.certificate_validity is not None:
            self._task = tasks.create_task(self._watch(failure, before))

    def stop(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self, failure: Failure, before: Signatures) -> None:
        since = self._clock.monotonic()
        while True:
            change = (
                changed_file(before, await self._read(before, since))
                or self._clock_change(failure)
                or await self._agent_change(failure.agent)
            )
            if change:
                break
            since = self._clock.monotonic() // POLL_INTERVAL * POLL_INTERVAL + POLL_INTERVAL
            await self._clock.sleep(since - self._clock.monotonic())
        self._on_change(change)

    def _clock_change(self, failure: Failure) -> str:
        if failure.certificate_validity is None:
            return ""
        valid_after, valid_before = failure.certificate_validity
        is_valid = valid_after <= self._clock.wall().timestamp() < valid_before
        return "a certificate has become valid" if is_valid else ""

    async def _agent_change(self, before: AgentKeys | None) -> str:
        if before is None:
            return ""
        try:
            keys = await self._agents.read(before.socket)
        except OSError:  # this machine is out of resources: look again later
            return ""
        return "the keys of the agent changed" if keys != before.keys else ""


class SharedSignatures:
    """Signatures of files for many callers: those that want the same files share one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reads: dict[tuple[str, ...], tuple[float, asyncio.Future[Signatures]]] = {}

    async def read(self, files: Iterable[str], since: float) -> Signatures:
        """Return the signatures that files have after `since`. One that hangs counts as missing."""
        paths = (*files,)
        if not paths:
            return {}
        started_at, read = self._reads.get(paths, (-inf, None))
        if read is not None and started_at < since and not read.done():
            await asyncio.wait({read}, timeout=READ_TIMEOUT)
            if not read.done():
                return await _read_each(paths)
            started_at, read = self._reads[paths]
        if read is None or (started_at < since and read.done()):
            now = self._clock.monotonic()
            read = asyncio.get_running_loop().run_in_executor(None, read_signatures, paths)
            self._reads[paths] = now, read
        await asyncio.wait({read}, timeout=READ_TIMEOUT)
        return read.result() if read.done() else await _read_each(paths)


def changed_file(before: Signatures, now: Signatures) -> str:
    """Return which file has changed, appeared or disappeared; empty if none has."""
    return next((f"{printable(path)} changed" for path in before if now[path] != before[path]), "")


async def _read_each(paths: Iterable[str]) -> Signatures:
    return dict(await asyncio.gather(*map(_read_in_time, paths)))


async def _read_in_time(path: str) -> tuple[str, Signature | None]:
    try:
        return path, await _READS.read(path, lambda: _read_signature(path))
    except OSError:
        return path, None


def read_signatures(files: Iterable[str]) -> Signatures:
    """Return the current signatures of the files."""
    return {path: _read_signature(path) for path in files}


def _read_signature(path: str) -> Signature | None:
    """Return the signature of a file; of a pattern of Include, which files it matches."""
    try:
        return file_signature(Path(path).stat())
    except (OSError, ValueError):
        return _read_matches(path) if glob.has_magic(path) else None


def _read_matches(pattern: str) -> Signature | None:
    try:
        found = sorted(glob.glob(pattern))  # noqa: PTH207  as ssh does
        return tuple(os.lstat(each).st_ino for each in found) or None
    except (OSError, ValueError):
        return None
