"""Calls that block, beside the event loop: each in a thread, those of one kind one after another.

Whoever gives up waits no longer, but the call goes on, and the next of its kind waits for it. So a
disk that hangs costs one thread, and not one for each attempt.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


@dataclass(slots=True)
class SerialExecutor:
    """Runs calls in threads of the event loop's executor."""

    _turns: dict[Hashable, asyncio.Lock] = field(default_factory=dict)

    async def call(self, kind: Hashable, act: Callable[[], T]) -> T:
        """Call a function when it is its turn; what it returned.

        Raises what it raises.
        """
        turn = self._turns.setdefault(kind, asyncio.Lock())
        await turn.acquire()
        try:
            done = asyncio.get_running_loop().run_in_executor(None, act)
        except BaseException:
            turn.release()
            raise
        done.add_done_callback(lambda _: turn.release())
        return await asyncio.shield(done)
