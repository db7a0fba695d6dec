"""Notices that the config file has changed since the supervisor read it.

It looks only when someone asks, and in a thread: the file may be on a disk that hangs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tunnelkeeper.tunnel.dependency_watcher import read_signatures

if TYPE_CHECKING:
    from tunnelkeeper.tunnel.dependency_watcher import Signatures

LOOK_TIMEOUT = 0.5
"""Seconds that an answer waits for the file system. Then the last result holds."""


class ConfigMonitor:
    """Compares a config file with the one that was read.

    read: the file's signature from before it was read, see `read_signatures`.
    """

    def __init__(self, read: Signatures) -> None:
        self._read = read
        self._look: asyncio.Future[Signatures] | None = None
        self.has_changed = False
        """Whether the file had changed when it was looked at last."""

    def set_read(self, read: Signatures) -> None:
        """Compare with another reading of the file."""
        self._read = read
        self._look = None
        self.has_changed = False

    def look_soon(self) -> None:
        """Look at the file without waiting for the result."""
        self._start_look()

    async def look(self) -> None:
        """Look at the file. Wait at most LOOK_TIMEOUT for the result."""
        await asyncio.wait({self._start_look()}, timeout=LOOK_TIMEOUT)

    def _start_look(self) -> asyncio.Future[Signatures]:
        """Return the look in progress, or start one. A disk that hangs blocks one thread only."""
        if self._look is None or self._look.done():
            loop = asyncio.get_running_loop()
            self._look = loop.run_in_executor(None, read_signatures, list(self._read))
            self._look.add_done_callback(self._take)
        return self._look

    def _take(self, look: asyncio.Future[Signatures]) -> None:
        if look is self._look and not look.cancelled():
            self.has_changed = look.result() != self._read
