"""A cache that runs equal concurrent queries once and keeps the answer for a short time.

A supervisor with a thousand tunnels through one jump host queries it once. This module does not
interpret answers. Waiters share an error too, but it is not cached.
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
"""Seconds to reuse an answer: enough to start all tunnels, too short for stale settings."""


class CachedQuery:
    """A query that caches the answers of another one. clock: monotonic seconds."""

    def __init__(self, query: Query, clock: Callable[[], float]) -> None:
        self._query = query
        self._clock = clock
        self._answers: dict[Request, tuple[float, Answer]] = {}
        self._running: dict[Request, asyncio.Future[Answer | SshConfigError | None]] = {}

    async def __call__(self, request: Request) -> Answer:
        """Return the answer to a request, or raise the error of the wrapped query."""
        while True:
            since, answer = self._answers.get(request, (-inf, {}))
            if self._clock() - since < MAX_AGE:
                return answer
            running = self._running.get(request)
            if running is None:
                return await self._run(request)
            # Unlike awaiting the future, this does not cancel it if this waiter is cancelled.
            await asyncio.wait({running})
            outcome = running.result()
            if isinstance(outcome, SshConfigError):
                raise SshConfigError(outcome.message, outcome.hint, temporary=outcome.temporary)
            if outcome is not None:
                return outcome
            # The task that ran the query was cancelled, so the next waiter runs it.

    def forget(self) -> None:
        """Forget all answers. Those of queries that are running are not cached."""
        self._answers.clear()
        self._running.clear()

    async def _run(self, request: Request) -> Answer:
        outcome: Answer | SshConfigError | None = None
        running = asyncio.get_running_loop().create_future()
        self._running[request] = running
        try:
            outcome = await self._query(request)
            if self._running.get(request) is running:
                self._answers[request] = (self._clock(), outcome)
        except SshConfigError as error:
            outcome = error
            raise
        finally:
            if self._running.get(request) is running:
                del self._running[request]
            running.set_result(outcome)
        return outcome
