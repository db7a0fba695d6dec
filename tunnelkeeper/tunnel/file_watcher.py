"""Notices that one of a few files changed: the key or known_hosts file that was at fault.

It looks once a second, and only while a tunnel is blocked; that works on every file system.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.ssh.auth.file_cache import Signature, file_signature

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from tunnelkeeper.clock import Clock

POLL_INTERVAL = 1.0

Signatures = dict[str, Signature | None]
"""What tells one version of each file from another; None: it is not there."""


class FileWatcher:
    """A watch over one set of files at a time; `on_change` is called once, at its first change."""

    def __init__(self, clock: Clock, on_change: Callable[[], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None

    def start(self, before: Signatures, tasks: asyncio.TaskGroup) -> None:
        """Watch these files from now on, and no others; a change since `before` counts."""
        self.stop()
        self._task = tasks.create_task(self._watch(before))

    def stop(self) -> None:
        """Watch nothing any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self, before: Signatures) -> None:
        await wait_for_change(before, self._clock)
        self._on_change()


async def wait_for_change(before: Signatures, clock: Clock) -> None:
    """Return when any of the files is not as it was: changed, gone, or there at last."""
    while read_signatures(before) == before:
        await clock.sleep(POLL_INTERVAL)


def read_signatures(files: Iterable[str]) -> Signatures:
    """How the files are now."""
    return {path: _read_signature(path) for path in files}


def _read_signature(path: str) -> Signature | None:
    try:
        return file_signature(Path(path).stat())
    except (OSError, ValueError):
        return None
