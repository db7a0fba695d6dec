"""The periodic end-to-end check of one forward while its tunnel is connected.

This module owns the timer, the task and the status of the check. core.health_checks decides when
to check, and forwarding.health_probe runs the check.
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
    """The checks of one forward, from `check_now` to `stop`.

    The last result is kept across connections.

    Args:
        check: What to check, how often and with which timeout.
        probe: Runs one check over a connection.
        tasks: Owns the running check.
        clock: The clock of the timer and of the reported times.
        get_connection: Returns the connection to check. Returns None while the tunnel is not
            connected or the forward is not listening.
        on_change: Called when a failure appears, changes or clears.
        on_unhealthy: Called with the number of consecutive failed checks when the connection
            should be replaced.
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
        """The failure of the last check, or None without a connection.

        A new connection inherits the last result until its own first check.
        """
        return self._failure if self._get_connection() is not None else None

    def stop(self) -> None:
        """Stop checking. Keep the last result."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._first_result.set()

    async def wait_for_first_result(self) -> None:
        """Wait for the first result on this connection. Return at once if no check is pending."""
        await self._first_result.wait()

    def check_now(self) -> None:
        """Check a new connection at once. Schedule the next check of a known one.

        Do nothing without a connection. A check in progress continues, because its traffic must
        be recognized as its own.
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

    def check_soon(self) -> bool:
        """Check the connection at once, unless a check runs. Return whether there is one."""
        opener = self._get_connection()
        if opener is None or opener is not self._opener:
            return False
        if self._task is None:
            self.stop()
            self._task = self._tasks.create_task(self._check_once(opener))
        return True

    def snapshot(self) -> CheckSnapshot:
        """Return the snapshot for front ends."""
        return self._snapshot

    def _on_timer(self) -> None:
        self._timer = None
        opener = self._get_connection()
        if opener is None:  # check_now() resumes; do not keep a reference to a dead connection
            self._opener = None
            return
        self._task = self._tasks.create_task(self._check_once(opener))

    async def _check_once(self, opener: ChannelOpener) -> None:
        first_result = self._first_result
        try:
            await self._run_check(opener)
        finally:
            first_result.set()

    async def _run_check(self, opener: ChannelOpener) -> None:
        started_at = self._clock.monotonic()
        problem = await self._probe(opener, self.check)
        now = self._clock.monotonic()
        self._task = None
        if opener.is_closed:  # the connection failed, and reports its own cause
            return
        result = CheckPassed(now - started_at) if problem is None else problem
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
