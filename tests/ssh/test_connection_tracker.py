"""A machine that resumes or changes its network while it is connected or connecting."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.ssh.attempts import no_leaks
from tests.ssh.links import full_backlog, silent_server
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, jump_host
from tests.ssh.waiting import DEADLINE, until, until_stable
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.ssh.connect import ConnectAttempt, connect_hop
from tunnelkeeper.ssh.connection import Connection
from tunnelkeeper.ssh.connection_tracker import ConnectionTracker, NetworkChangedError
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.core.configuration import Host

PRESENT = frozenset({"127.0.0.1"})
ELSEWHERE = frozenset({"192.0.2.7"})


@asynccontextmanager
async def attempt(
    host: Host, context: SshContext, progress: ProgressRecorder, via: Connection | None = None
) -> AsyncIterator[asyncio.Task[Connection | FailureError]]:
    """Run an attempt to connect; close its connection at the end."""

    async def run() -> Connection | FailureError:
        try:
            return await connect_hop(host, via, context, progress)
        except FailureError as failed:
            return failed

    async with asyncio.timeout(2 * DEADLINE), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run())
        try:
            yield task
        finally:
            if not task.done():
                task.cancel()
            elif isinstance(connection := task.result(), Connection):
                await connection.close()


async def test_live_connections_are_probed(server: Server) -> None:
    context = SshContext()
    async with attempt(server.host(), context, ProgressRecorder()) as outcome:
        connection = await outcome
        assert isinstance(connection, Connection)
        await until(lambda: connection.rtt_ms is not None)
        last_received_at = connection.transport.last_received_at

        context.connection_tracker.network_changed(PRESENT)

        await until(lambda: connection.transport.last_received_at > last_received_at)
        assert not connection.is_closed


async def test_a_connection_that_has_ended_is_not_probed(server: Server) -> None:
    context = SshContext()
    async with attempt(server.host(), context, ProgressRecorder()) as outcome:
        connection = await outcome
        assert isinstance(connection, Connection)
        await connection.close()

        context.connection_tracker.network_changed(None)

        assert connection.keepalive_monitor._timer is None


async def test_an_unanswered_attempt_restarts(server: Server) -> None:
    context, progress = SshContext(), ProgressRecorder()
    with full_backlog() as (_, port):
        async with attempt(server.host(ports=(port,)), context, progress):
            await until(lambda: "connect" in progress.step_names)
            context.connection_tracker.network_changed(PRESENT)
            await until(lambda: progress.step_names == ["resolve", "connect"] * 2)


@pytest.mark.parametrize("present", [ELSEWHERE, None], ids=["address removed", "resumed"])
async def test_an_attempt_without_its_address_restarts_with_its_full_timeout(
    server: Server, present: frozenset[str] | None
) -> None:
    context, progress = SshContext(), ProgressRecorder()
    server.may_log_in.clear()
    async with no_leaks(), attempt(server.host(), context, progress) as outcome:
        await until(lambda: server.logins)
        context.connection_tracker.network_changed(present)
        await until(lambda: progress.step_names.count("login") == 2)
        server.release_all()

        assert isinstance(await outcome, Connection)


async def test_the_login_of_an_attempt_that_restarts_is_no_longer_waited_for(
    server: Server,
) -> None:
    context = SshContext()
    server.may_log_in.clear()
    restarting = ConnectAttempt(server.host(), server.port, None, context, ProgressRecorder())
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(restarting.run())
        await until(lambda: server.logins)
        slow_login = restarting.slow_login
        assert slow_login is not None
        with full_backlog() as (_, port):
            restarting.port = port
            context.connection_tracker.network_changed(None)
            await until(lambda: restarting.step == "connect")
            assert slow_login.cancelled()
            task.cancel()
    server.release_all()


async def test_an_attempt_whose_address_is_still_present_continues(server: Server) -> None:
    context, progress = SshContext(), ProgressRecorder()
    server.may_log_in.clear()
    async with attempt(server.host(), context, progress) as outcome:
        await until(lambda: server.logins)
        context.connection_tracker.network_changed(PRESENT)
        await until_stable(lambda: len(progress.step_names))
        server.release_all()
        await outcome

    assert progress.step_names.count("login") == 1


async def test_an_attempt_through_a_jump_host_is_not_restarted(
    server: Server, tmp_path: Path
) -> None:
    context, progress = SshContext(), ProgressRecorder()
    server.may_log_in.clear()
    async with (
        jump_host(tmp_path) as (_, via),
        attempt(server.host(), context, progress, via) as outcome,
    ):
        await until(lambda: server.logins)
        context.connection_tracker.network_changed(None)
        await until_stable(lambda: len(progress.step_names))
        server.release_all()
        await outcome

    assert progress.step_names.count("login") == 1


async def test_a_tracked_attempt_keeps_its_timeout(server: Server) -> None:
    context = SshContext()
    async with silent_server() as port:
        host = server.host(ports=(port,), connect_timeout=0.2)
        async with attempt(host, context, ProgressRecorder()) as outcome:
            failed = await outcome

    assert isinstance(failed, FailureError)
    assert failed.failure.cause is Cause.TIMEOUT


class Unconnected:
    local_address = None


async def test_a_timeout_of_the_body_is_no_network_change() -> None:
    with pytest.raises(TimeoutError, match="its own"):
        async with ConnectionTracker().restart_on_network_change(Unconnected()):
            raise TimeoutError("its own")


async def test_a_restarted_attempt_is_no_longer_tracked() -> None:
    tracker = ConnectionTracker()

    async def attempt_forever() -> None:
        async with tracker.restart_on_network_change(Unconnected()):
            tracker.network_changed(PRESENT)
            await asyncio.Event().wait()

    with pytest.raises(NetworkChangedError):
        await attempt_forever()
    assert not tracker._attempts
