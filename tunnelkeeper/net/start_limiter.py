"""A limit of calls that have just started. A call that takes long stops counting.

A plain limit of concurrent calls bounds the load, but a few calls that wait for something, such as
a dead name server, would hold up all others. A call that waits causes no load.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class StartLimiter:
    """At most `limit` calls are in their first `patience` seconds.

    So in the worst case limit / patience calls start in a second.
    """

    def __init__(self, limit: int, patience: float) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._patience = patience

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Call]:
        """Wait until a call may start, and count it while the body runs."""
        await self._slots.acquire()
        call = Call(self._slots)
        timer = asyncio.get_running_loop().call_later(self._patience, call.stop_counting)
        try:
            yield call
        finally:
            timer.cancel()
            call.end()


class Call:
    """A call that was started. is_slow: whether it no longer counts."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots: asyncio.Semaphore | None = slots
        self.is_slow = False

    def stop_counting(self) -> None:
        """Let another call start, as this one takes long."""
        self.is_slow = True
        self.end()

    def end(self) -> None:
        """Free the slot if the call holds it."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.release()
