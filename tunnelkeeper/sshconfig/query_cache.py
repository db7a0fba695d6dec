"""Lets those who ask the same at the same time share one answer, and keeps it for a moment.

A supervisor with a thousand tunnels through one jump host asks once about it. What the answer is
and how it is found is not known here; an error is shared with those who wait, and not kept.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.sshconfig.lookup_request import SshConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.sshconfig.lookup_request import Answer, Query, Request

MAX_AGE = 5.0
"""Seconds that an answer is good for: time for a start of everything, too short to go stale."""


class CachedQuery:
    """A query that runs another one as seldom as it may. clock: monotonic seconds."""

    def __init__(self, query: Query, clock: Callable[[], float]) -> None:
        self._query = query
        self._clock = clock
        self._answers: dict[Request, tuple[float, Answer]] = {}
        self._running: dict[Request, asyncio.Future[Answer | SshConfigError | None]] = {}

    async def __call__(self, request: Request) -> Answer:
        """The answer of the other query, or the error it raised."""
        while True:
            since, answer = self._answers.get(request, (-inf, {}))
            if self._clock() - since < MAX_AGE:
                return answer
            running = self._running.get(request)
            if running is None:
                return await self._run(request)
            # Unlike awaiting the future, this leaves it alone when this waiter is cancelled.
            await asyncio.wait({running})
            outcome = running.result()
            if isinstance(outcome, SshConfigError):
                raise SshConfigError(outcome.message, outcome.hint, temporary=outcome.temporary)
            if outcome is not None:
                return outcome
            # Whoever ran it was cancelled: the next in line runs it.

    async def _run(self, request: Request) -> Answer:
        outcome: Answer | SshConfigError | None = None
        running = asyncio.get_running_loop().create_future()
        self._running[request] = running
        try:
            outcome = await self._query(request)
            self._answers[request] = (self._clock(), outcome)
        except SshConfigError as error:
            outcome = error
            raise
        finally:
            del self._running[request]
            running.set_result(outcome)
        return outcome
