"""Attempts to connect that fail or are cancelled, and a check that they leak nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.failures import FailureError
from tunnelkeeper.ssh.connect import ConnectAttempt, connect_hop
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.ssh.connection import Connection


async def failure_of(
    host: Host,
    progress: ProgressRecorder | None = None,
    via: Connection | None = None,
    context: SshContext | None = None,
) -> Failure:
    """Return the failure of an attempt to connect to a host."""
    async with asyncio.timeout(20):
        with pytest.raises(FailureError) as failed:
            await connect_hop(host, via, context or SshContext(), progress or ProgressRecorder())
    return failed.value.failure


async def failure_at_the_deadline(
    host: Host,
    is_due: Callable[[ConnectAttempt], bool],
    progress: ProgressRecorder | None = None,
) -> Failure:
    """Return the failure of an attempt whose time limit is reached when `is_due` returns true."""
    progress = progress or ProgressRecorder()
    attempt = ConnectAttempt(host, host.ports[0], None, SshContext(), progress)
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(_failure_of(attempt))
        await until(lambda: is_due(attempt))
        attempt.deadline.reschedule(0)
        return await running


async def _failure_of(attempt: ConnectAttempt) -> Failure:
    with pytest.raises(FailureError) as failed:
        await attempt.run()
    return failed.value.failure


async def cancel_at_step(step: str, host: Host, via: Connection | None = None) -> None:
    """Cancel an attempt when it reaches a step."""
    progress = ProgressRecorder()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        attempt = tasks.create_task(connect_hop(host, via, SshContext(), progress))
        await until(lambda: step in progress.step_names or attempt.done())
        attempt.cancel()
    assert attempt.cancelled()


@asynccontextmanager
async def no_leaks() -> AsyncIterator[None]:
    """Check that the body leaks no task and no descriptor."""
    await asyncio.get_running_loop().run_in_executor(None, int)  # the thread stays
    tasks, descriptors = asyncio.all_tasks(), psutil.Process().num_fds()
    yield
    await until(lambda: asyncio.all_tasks() <= tasks, description="no task is left")
    await until(
        lambda: psutil.Process().num_fds() <= descriptors, description="no descriptor is left"
    )
