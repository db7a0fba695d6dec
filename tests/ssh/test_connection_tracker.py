"""A machine that resumes or changes its network while it is connected or connecting."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.ssh.attempts import no_leaks
from tests.ssh.links import full_backlog, silent
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, jump_host
from tests.ssh.waiting import DEADLINE, until, until_stable
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.ssh.connect import connect_hop
from tunnelkeeper.ssh.connection import Connection
from tunnelkeeper.ssh.connection_tracker import ConnectionTracker, NetworkChangedError
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.core.configuration import Host

HERE = frozenset({"127.0.0.1"})
ELSEWHERE = frozenset({"192.0.2.7"})


@asynccontextmanager
async def attempt(
    host: Host, shared: SshContext, notes: ProgressRecorder, via: Connection | None = None
) -> AsyncIterator[asyncio.Task[Connection | FailureError]]:
    """Run an attempt to connect; close its connection at the end."""

    async def run() -> Connection | FailureError:
        try:
            return await connect_hop(host, via, shared, notes)
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
    shared = SshContext()
    async with attempt(server.host(), shared, ProgressRecorder()) as outcome:
        connection = await outcome
        assert isinstance(connection, Connection)
        await until(lambda: connection.rtt_ms is not None)
        heard = connection.transport.last_received_at

        shared.connection_tracker.network_changed(HERE)

        await until(lambda: connection.transport.last_received_at > heard)
        assert not connection.is_closed


async def test_a_connection_that_has_ended_is_not_probed(server: Server) -> None:
    shared = SshContext()
    async with attempt(server.host(), shared, ProgressRecorder()) as outcome:
        connection = await outcome
        assert isinstance(connection, Connection)
        await connection.close()

        shared.connection_tracker.network_changed(None)

        assert connection.keepalive_monitor._timer is None


async def test_an_unanswered_attempt_restarts(server: Server) -> None:
    shared, notes = SshContext(), ProgressRecorder()
    with full_backlog() as (_, port):
        async with attempt(server.host(ports=(port,)), shared, notes):
            await until(lambda: "connect" in notes.step_names)
            shared.connection_tracker.network_changed(HERE)
            await until(lambda: notes.step_names == ["resolve", "connect"] * 2)


@pytest.mark.parametrize("present", [ELSEWHERE, None], ids=["address gone", "slept"])
async def test_an_attempt_without_its_address_restarts_with_its_full_timeout(
    server: Server, present: frozenset[str] | None
) -> None:
    shared, notes = SshContext(), ProgressRecorder()
    server.may_log_in.clear()
    async with no_leaks(), attempt(server.host(), shared, notes) as outcome:
        await until(lambda: server.logins)
        shared.connection_tracker.network_changed(present)
        await until(lambda: notes.step_names.count("login") == 2)
        server.release_all()

        assert isinstance(await outcome, Connection)


async def test_an_attempt_whose_address_is_still_present_continues(server: Server) -> None:
    shared, notes = SshContext(), ProgressRecorder()
    server.may_log_in.clear()
    async with attempt(server.host(), shared, notes) as outcome:
        await until(lambda: server.logins)
        shared.connection_tracker.network_changed(HERE)
        await until_stable(lambda: len(notes.step_names))
        server.release_all()
        await outcome

    assert notes.step_names.count("login") == 1


async def test_an_attempt_through_a_jump_host_is_not_restarted(
    server: Server, tmp_path: Path
) -> None:
    shared, notes = SshContext(), ProgressRecorder()
    server.may_log_in.clear()
    async with (
        jump_host(tmp_path) as (_, via),
        attempt(server.host(), shared, notes, via) as outcome,
    ):
        await until(lambda: server.logins)
        shared.connection_tracker.network_changed(None)
        await until_stable(lambda: len(notes.step_names))
        server.release_all()
        await outcome

    assert notes.step_names.count("login") == 1


async def test_a_tracked_attempt_keeps_its_timeout(server: Server) -> None:
    shared = SshContext()
    async with silent() as port:
        host = server.host(ports=(port,), connect_timeout=0.2)
        async with attempt(host, shared, ProgressRecorder()) as outcome:
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
    moves = ConnectionTracker()

    async def attempt_for_ever() -> None:
        async with moves.restart_on_network_change(Unconnected()):
            moves.network_changed(HERE)
            await asyncio.Event().wait()

    with pytest.raises(NetworkChangedError):
        await attempt_for_ever()
    assert not moves._attempts
