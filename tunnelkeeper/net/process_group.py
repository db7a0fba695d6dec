"""The process groups of our children: each child leads its own, and none outlives this process.

A group is ended with SIGTERM, and with SIGKILL half a second later. A child that exits can
leave members in its group; they may run until this process ends. This module starts no child.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tunnelkeeper.net.out_of_memory import end_when_out_of_memory
from tunnelkeeper.net.process_guard import ProcessGuard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

T = TypeVar("T")

POLL_INTERVALS = (0.01, 0.02, 0.04, 0.08, 0.15, 0.2)  # their sum is TERMINATE_TIMEOUT
"""Seconds between two looks at a group: the system does not report when its last member exits."""


class ProcessGroup:
    """The process group of a child that was started with start_new_session.

    Args:
        leader: The process id of the child, and so the id of the group.
    """

    def __init__(self, leader: int) -> None:
        self.id = leader
        self.has_leader = True
        _registry.add(self)

    def __str__(self) -> str:
        """Return the group as the guard reads it."""
        return f"{'+' if self.has_leader else '='} {self.id}"

    @property
    def is_alive(self) -> bool:
        """Whether a member runs, or has exited and was not waited for."""
        return self.send(0)

    @property
    def is_running(self) -> bool:
        """Whether a member runs.

        A container whose first process waits for no orphans keeps them as zombies. A group that
        has its leader needs no look at all processes, since the event loop waits for the leader.
        """
        if self.has_leader or sys.platform != "linux":
            return self.is_alive
        return self.is_alive and not _are_zombies(self.id)

    def leader_exited(self) -> None:
        """Record that the child has exited and was waited for."""
        self.has_leader = False
        _registry.update(self)

    def send(self, number: int) -> bool:
        """Send a signal to all members. Return whether there are any."""
        if not self.has_leader and _is_process(self.id):
            return False  # a new process has the id, which the system reuses: the group has ended
        try:
            os.killpg(self.id, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # all of them are set-user-ID programs
            return True
        return True

    async def terminate(self) -> None:
        """End all members: SIGTERM, then SIGKILL. Cancellation sends SIGKILL at once."""
        await _terminate([self])


def run_with_children(main: Coroutine[object, object, T]) -> T:
    """Run the main coroutine of a program. All children end with it."""

    async def run() -> T:
        end_when_out_of_memory(asyncio.get_running_loop())
        async with ending_children():
            return await main

    return asyncio.run(run())


@asynccontextmanager
async def ending_children() -> AsyncIterator[None]:
    """End all process groups at the end of the block. If we are killed in it, the guard does."""
    _registry.is_guarded = True
    try:
        yield
    finally:
        try:
            await _terminate(_registry.groups())
        finally:
            await asyncio.to_thread(_registry.close)


async def _terminate(groups: list[ProcessGroup]) -> None:
    alive = groups
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            alive = [group for group in alive if group.send(number)]
            for interval in POLL_INTERVALS:
                if not (alive := [group for group in alive if group.is_running]):
                    return
                await asyncio.sleep(interval)
    finally:
        for group in alive:
            group.send(signal.SIGKILL)
        for group in groups:
            _registry.update(group)


def _are_zombies(group: int) -> bool:
    """Return whether all members of a group have exited (proc_pid_stat(5))."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name of the program, in parentheses, can contain anything.
            fields = status.read_bytes().rpartition(b")")[2].split()
            if int(fields[2]) == group and fields[0] not in {b"Z", b"X"}:
                return False
    return True


def _is_process(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _Registry:
    """The groups of this process that have members. The guard has the same list.

    It can be used from any thread.
    """

    def __init__(self) -> None:
        self.is_guarded = False
        self._groups: set[ProcessGroup] = set()
        self._guard = ProcessGuard()
        self._lock = threading.Lock()

    def groups(self) -> list[ProcessGroup]:
        """Return the groups."""
        with self._lock:
            return [*self._groups]

    def add(self, group: ProcessGroup) -> None:
        """Add the group of a new child, and remove groups whose last member has exited."""
        for each in self.groups():
            self.update(each)
        with self._lock:
            self._groups.add(group)
            self._report(str(group))

    def update(self, group: ProcessGroup) -> None:
        """Report the exit of a group's leader or of its last member."""
        if group.has_leader:
            return
        with self._lock:
            if group not in self._groups:
                return
            if group.is_alive:
                self._report(str(group))
            else:
                self._groups.discard(group)
                self._report(f"- {group.id}")

    def close(self) -> None:
        """Stop the guard. This blocks until it has exited."""
        with self._lock:
            self.is_guarded = False
            self._guard.wait_closed()

    def _report(self, line: str) -> None:
        if not self.is_guarded or self._guard.write([line]):
            return
        if self._groups:
            self._guard.start()
            self._guard.write(str(group) for group in self._groups)


_registry = _Registry()
