"""Fair scheduling of the connections of a process that have received data.

Without it, a peer that sends thousands of small packets occupies the event loop for as long as they
take, and every other connection waits. A connection therefore processes received data for at most
TURN_SECONDS in one turn of the loop. What is left waits in a fair queue, and the connection reads
no more meanwhile. Connections that have not logged in wait in a queue of their own and get
LOGIN_SHARE of the time while others are in use.

It processes nothing itself and knows no packets.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from tunnelkeeper.core.fair_queue import FairQueue, Flow

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

TURN_SECONDS = 0.0005
"""Seconds of processing in one turn of the loop. A batch of 256 KiB of data takes about as long."""

CREDIT_SECONDS = 0.001
"""Seconds of processing that need not queue, after a time of less work."""

UNQUEUED_SHARE = 0.9
"""Share of the time that may be spent on data that has just arrived, without queueing."""

LOGIN_SHARE = 1 / 3
"""Share of the time for logins while other connections are in use."""

MIN_TASK_SECONDS, MAX_TASK_SECONDS = 0.0001, 0.005
"""Bounds of the estimated time of a task that a packet starts, such as the opening of a channel. It
runs after the turn, so a turn ends earlier by the estimate for each task."""

IDLE_AFTER = 0.1
"""Seconds without data on established connections after which logins get all the time."""


class Flows:
    """The flows that parties with several connections share. An unused one is forgotten."""

    def __init__(self) -> None:
        self._flows: WeakValueDictionary[object, Flow] = WeakValueDictionary()

    def of(self, party: object) -> Flow:
        """Return the flow of a party, such as a key."""
        return self._flows.setdefault(party, Flow())


class Receiver(Protocol):
    """A connection with received data."""

    @property
    def flow(self) -> Flow:
        """The party to charge."""

    @property
    def is_logging_in(self) -> bool:
        """Whether the peer has not proved who it is, and belongs to the queue of logins."""

    def process_received(self, turn_end: float) -> int:
        """Process at least one packet, and more until a time of the clock.

        Returns the number of tasks that were started.
        """

    @property
    def has_received(self) -> bool:
        """Whether it has data that it can process now."""


class ReceiveScheduler:
    """The connections of one event loop that wait for their turn."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self.clock = clock
        self._established: FairQueue[Receiver] = FairQueue()
        self._logins: FairQueue[Receiver] = FairQueue()
        self._waiting: set[Receiver] = set()
        self._is_scheduled = False
        self._login_timer: asyncio.TimerHandle | None = None
        self._credit = CREDIT_SECONDS
        self._credited_at = self._established_at = clock()
        self._logins_from = 0.0
        self.task_seconds = 0.0002
        self._tasks = 0
        self._turn_ended_at: float | None = None  # if tasks of that turn run before the next one

    def is_waiting(self, receiver: Receiver) -> bool:
        """Return whether a connection waits for its turn."""
        return receiver in self._waiting

    def receive(self, receiver: Receiver) -> None:
        """Process what a connection has received, now or when its turn comes."""
        if receiver in self._waiting or not receiver.has_received:
            return
        now = self.clock()
        if receiver.is_logging_in or self._established or not self._has_credit(now):
            self._wait(receiver)
        else:
            self._process(receiver, now, now + TURN_SECONDS)

    def charge_login(self, receiver: Receiver, seconds: float) -> None:
        """Charge a login for work outside its turns."""
        self._logins.charge(receiver.flow, seconds)
        now = self.clock()
        if now - self._established_at < IDLE_AFTER:
            pause = seconds * (1 / LOGIN_SHARE - 1)
            self._logins_from = max(self._logins_from, now) + pause

    def _has_credit(self, now: float) -> bool:
        credit = self._credit + (now - self._credited_at) * UNQUEUED_SHARE
        self._credit = min(CREDIT_SECONDS, credit)
        self._credited_at = now
        return credit > 0

    def _wait(self, receiver: Receiver) -> None:
        self._waiting.add(receiver)
        queue = self._logins if receiver.is_logging_in else self._established
        queue.push(receiver, receiver.flow)
        self._schedule()

    def _process(self, receiver: Receiver, began: float, turn_end: float) -> None:
        is_login = receiver.is_logging_in
        tasks = receiver.process_received(turn_end)
        self._tasks += tasks
        now = self.clock()
        spent = now - began + tasks * self.task_seconds
        if is_login:
            self.charge_login(receiver, spent)
        else:
            self._established.charge(receiver.flow, spent)
            self._credit -= spent
            self._established_at = now
        if receiver.has_received:
            self._wait(receiver)

    def _schedule(self) -> None:
        if self._is_scheduled:
            return
        delay = 0.0 if self._established else self._logins_from - self.clock()
        if delay <= 0:
            self._is_scheduled = True
            self._loop.call_soon(self._run)
        elif self._login_timer is None:
            self._login_timer = self._loop.call_later(delay, self._resume_logins)

    def _resume_logins(self) -> None:
        self._login_timer = None
        if self._logins:
            self._schedule()

    def _run(self) -> None:
        """Process the data of one turn of the loop."""
        self._is_scheduled = False
        self._measure_tasks()
        turn_end = self.clock() + TURN_SECONDS
        if self._logins and self.clock() >= self._logins_from:
            self._process_next(self._logins, turn_end)
        while self._established:
            self._process_next(self._established, turn_end - self._tasks * self.task_seconds)
            if self.clock() >= turn_end - self._tasks * self.task_seconds:
                break
        if self._waiting:
            self._schedule()
        if self._is_scheduled and self._tasks:
            self._turn_ended_at = self.clock()

    def _measure_tasks(self) -> None:
        """Adapt the estimate: the tasks of the last turn have run since it ended."""
        if self._turn_ended_at is not None:
            seconds = (self.clock() - self._turn_ended_at) / self._tasks
            estimate = (3 * self.task_seconds + seconds) / 4
            self.task_seconds = min(MAX_TASK_SECONDS, max(MIN_TASK_SECONDS, estimate))
        self._turn_ended_at, self._tasks = None, 0

    def _process_next(self, queue: FairQueue[Receiver], turn_end: float) -> None:
        while queue:
            receiver = queue.pop()
            self._waiting.discard(receiver)
            if receiver.has_received:  # else it was closed while it waited
                self._process(receiver, self.clock(), turn_end)
                return


_SCHEDULERS: WeakKeyDictionary[asyncio.AbstractEventLoop, ReceiveScheduler] = WeakKeyDictionary()


def scheduler_of(loop: asyncio.AbstractEventLoop) -> ReceiveScheduler:
    """Return the scheduler of an event loop."""
    scheduler = _SCHEDULERS.get(loop)
    if scheduler is None:
        scheduler = _SCHEDULERS[loop] = ReceiveScheduler(loop)
    return scheduler
