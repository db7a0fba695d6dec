"""The end-to-end check of one forward, again and again while there is a connection.

core.health_checks decides when to check; forwarding.health_probe checks. This module has the timer,
the task, and what status shows of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from tunnelkeeper.clock import iso
from tunnelkeeper.core.health_checks import (
    Check,
    CheckFailed,
    CheckImpossible,
    CheckPassed,
    Health,
    on_connected,
    record,
)
from tunnelkeeper.core.snapshot import CheckSnapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    from tunnelkeeper.clock import Clock, Timer
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.forwarding.gate import ChannelOpener

ProbeFunction = Callable[
    ["ChannelOpener", Check], "Awaitable[CheckFailed | CheckImpossible | None]"
]


class CheckLoop:
    """Checks one forward from `look` to `stop`, and keeps what it found over many connections.

    connection: the one to check through; None while there is none, or the forward does not listen.
    on_change is called when the failure comes, changes or goes; on_useless, with the number of
    checks that failed in a row, when the connection is to be replaced.
    """

    def __init__(
        self,
        check: Check,
        probe: ProbeFunction,
        *,
        tasks: asyncio.TaskGroup,
        clock: Clock,
        get_connection: Callable[[], ChannelOpener | None],
        on_change: Callable[[], None],
        on_unhealthy: Callable[[int], None],
    ) -> None:
        self.check = check
        self.failed_at: datetime = clock.wall()
        self._failure: Failure | None = None
        self._probe = probe
        self._tasks = tasks
        self._clock = clock
        self._get_connection = get_connection
        self._on_change = on_change
        self._on_unhealthy = on_unhealthy
        self._health = Health(clock.monotonic())
        self._snapshot = CheckSnapshot(check.probe.kind)
        self._opener: ChannelOpener | None = None
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None
        self._first_result = asyncio.Event()
        self._first_result.set()

    @property
    def failure(self) -> Failure | None:
        """Why the last check failed; nothing while there is no connection to blame.

        What was found on the last connection holds for a new one until that has been checked.
        """
        return self._failure if self._get_connection() is not None else None

    def stop(self) -> None:
        """Check no more; what was found stays."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._first_result.set()

    async def wait_for_first_result(self) -> None:
        """Wait for the first result on the connection, if there is one to wait for."""
        await self._first_result.wait()

    def check_now(self) -> None:
        """Go on, where a connection is there and the forward listens; a new one is checked at once.

        A check that is under way goes on: what it sends has to be awaited as its own.
        """
        opener = self._get_connection()
        if opener is None:
            return
        if opener is not self._opener:
            self.stop()
            self._opener = opener
            self._health = on_connected(self._health, self._clock.monotonic())
            self._first_result = asyncio.Event()
            self._task = self._tasks.create_task(self._check_once(opener))
        elif self._timer is None and self._task is None:
            self._timer = self._clock.call_at(self._health.due_at, self._on_timer)

    def snapshot(self) -> CheckSnapshot:
        """As front ends see it."""
        return self._snapshot

    def _on_timer(self) -> None:
        self._timer = None
        opener = self._get_connection()
        if opener is None:  # `look` will come; until then nothing keeps what is gone
            self._opener = None
            return
        self._task = self._tasks.create_task(self._check_once(opener))

    async def _check_once(self, opener: ChannelOpener) -> None:
        judged = self._first_result
        try:
            await self._run_check(opener)
        finally:
            judged.set()

    async def _run_check(self, opener: ChannelOpener) -> None:
        began = self._clock.monotonic()
        found = await self._probe(opener, self.check)
        now = self._clock.monotonic()
        self._task = None
        if opener.is_closed:  # what failed is the connection, which has a cause of its own
            return
        result = CheckPassed(now - began) if found is None else found
        self._health, is_useless = record(self._health, result, self.check, now)
        self._record_result(result)
        if is_useless:
            self._on_unhealthy(self._health.failed)
        self.check_now()

    def _record_result(self, result: CheckPassed | CheckFailed | CheckImpossible) -> None:
        at = iso(self._clock.wall())
        kind = self.check.probe.kind
        match result:
            case CheckPassed(seconds=seconds):
                self._snapshot = CheckSnapshot(kind, ok=True, at=at, ms=round(seconds * 1000, 3))
                self._set_failure(None)
            case CheckFailed(message=message):
                self._snapshot = CheckSnapshot(kind, ok=False, at=at, message=message)
                self._set_failure(result.failure)
            case CheckImpossible(message=message):
                self._snapshot = CheckSnapshot(kind, ok=None, at=at, message=message)
                self._set_failure(None)

    def _set_failure(self, failure: Failure | None) -> None:
        old, self._failure = self._failure, failure
        if old != failure:
            self.failed_at = self._clock.wall()
            self._on_change()
