"""Detects a change of the key or known_hosts files that caused a failure.

It polls once a second, because polling works on every file system, and only while a tunnel is
blocked.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.net.thread_executor import SerialExecutor
from tunnelkeeper.ssh.auth.file_cache import Signature, file_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tunnelkeeper.clock import Clock

POLL_INTERVAL = 1.0

_READS = SerialExecutor()
"""It lets a file that hangs block one thread, however many attempts use it."""

Signatures = dict[str, Signature | None]
"""The signature of each file; None for a missing file."""


class FileWatcher:
    """Watches one set of files at a time. Calls `on_change` once, at the first change."""

    def __init__(self, clock: Clock, on_change: Callable[[], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None

    def start(self, before: Signatures, tasks: asyncio.TaskGroup) -> None:
        """Watch these files instead of the previous ones. A change since `before` counts."""
        self.stop()
        self._task = tasks.create_task(self._watch(before))

    def stop(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self, before: Signatures) -> None:
        await wait_for_change(before, self._clock)
        self._on_change()


async def wait_for_change(before: Signatures, clock: Clock) -> None:
    """Return when any of the files has changed, disappeared or appeared."""
    while await read_signatures_in_thread(before) == before:
        await clock.sleep(POLL_INTERVAL)


def read_signatures(files: Iterable[str]) -> Signatures:
    """Return the current signatures of the files."""
    return {path: _read_signature(path) for path in files}


async def read_signatures_in_thread(files: Iterable[str]) -> Signatures:
    """Return the current signatures of the files. One on a disk that hangs counts as missing."""
    paths = (*files,)
    if not paths:
        return {}
    with suppress(OSError):
        return await _READS.read(paths, lambda: read_signatures(paths))
    return dict(await asyncio.gather(*map(_read_in_time, paths)))


async def _read_in_time(path: str) -> tuple[str, Signature | None]:
    try:
        return path, await _READS.read(path, lambda: _read_signature(path))
    except OSError:
        return path, None


def _read_signature(path: str) -> Signature | None:
    try:
        return file_signature(Path(path).stat())
    except (OSError, ValueError):
        return None
