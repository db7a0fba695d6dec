from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from tests.forwarding.opening import open_and_wait
from tests.forwarding.services import echo, service
from tests.ssh.attempts import no_leaks
from tests.ssh.links import closed_port
from tests.ssh.server import Server, connected, jump_host
from tests.ssh.waiting import until
from tunnelkeeper.core.budget import Budget, Resource
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress
from tunnelkeeper.forwarding.gate import Gate
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters
from tunnelkeeper.ssh import connection as module
from tunnelkeeper.ssh import open_channel
from tunnelkeeper.ssh.memory_budget import memory_limits
from tunnelkeeper.ssh.remote_command import (
    CommandEndpoint,
    CommandKind,
    CommandRefusedError,
    RemoteCommand,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.ssh.connection import Connection

LOOPBACK = "127.0.0.1"
NO_ORIGIN = ("", 0)


def make_endpoint() -> ChannelEndpoint:
    return ChannelEndpoint(Counters(), lambda _: None)


def channels(connection: Connection) -> list[Any]:
    return list(connection.transport._channels.values())


async def refusal_of(connection: Connection, target: Address) -> ConnectError:
    async with asyncio.timeout(10):
        with pytest.raises(ConnectError) as refused:
            await open_and_wait(connection, target, make_endpoint())
    return refused.value


# Properties


async def test_a_live_connection_has_a_host_and_a_cipher(
    server: Server, connection: Connection
) -> None:
    assert not connection.is_closed
    assert connection.cipher is not None
    assert connection.cipher.encode() in asyncssh.encryption.get_encryption_algs()
    assert connection.host.ports == (server.port,)
    assert connection.jump is None
    await until(lambda: connection.rtt_ms is not None)


async def test_the_idle_callback_runs_when_the_last_channel_is_closed(
    connection: Connection,
) -> None:
    idle: list[int] = []
    async with service(echo) as port:
        endpoints = [make_endpoint(), make_endpoint()]
        for endpoint in endpoints:
            await open_and_wait(connection, TcpAddress(LOOPBACK, port), endpoint)
        connection.call_when_idle(lambda: idle.append(connection.channel_count))
        assert connection.channel_count == 2

        endpoints[0].abort()
        await until(lambda: connection.channel_count == 1)
        assert idle == []
        endpoints[1].abort()
        await until(lambda: idle == [0])


async def test_a_connection_without_a_channel_is_idle_at_once(connection: Connection) -> None:
    idle: list[bool] = []

    connection.call_when_idle(lambda: idle.append(True))
    connection.call_when_idle(None)

    assert idle == [True]


# Channels


async def test_an_unreachable_target_is_reported_with_the_servers_text(
    connection: Connection,
) -> None:
    refusal = await refusal_of(connection, TcpAddress(LOOPBACK, closed_port()))

    assert refusal.reason is Reason.REFUSED
    assert "connect failed" in str(refusal)
    assert not channels(connection)


async def test_a_target_that_the_server_does_not_allow_is_not_allowed(
    server: Server, connection: Connection
) -> None:
    server.refuse_opening = True
    refusal = await refusal_of(connection, TcpAddress(LOOPBACK, 1))

    assert refusal.reason is Reason.NOT_PERMITTED
    assert "not by this server" in str(refusal)


async def test_a_socket_file_that_is_missing_on_the_server_is_refused(
    connection: Connection, tmp_path: Path
) -> None:
    await refusal_of(connection, UnixAddress(str(tmp_path / "none.sock")))

    assert not channels(connection)


async def test_a_channel_on_a_connection_that_has_ended_is_refused(
    server: Server, connection: Connection
) -> None:
    server.drop()
    await connection.wait_ended()

    assert connection.is_closed
    refusal = await refusal_of(connection, TcpAddress(LOOPBACK, 1))
    assert refusal.reason in {Reason.FAILED, Reason.HOST_UNREACHABLE}


async def test_a_channel_whose_connection_dies_while_it_opens_is_refused(
    server: Server, connection: Connection
) -> None:
    server.may_open.clear()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        opening = tasks.create_task(refusal_of(connection, TcpAddress(LOOPBACK, 1)))
        await until(lambda: server.opening == 1)
        server.drop()

    assert opening.done()
    assert connection.is_closed


async def test_a_system_error_while_opening_is_a_refusal(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise OSError("Channel already open")

    monkeypatch.setattr(open_channel, "ENABLED", False)
    monkeypatch.setattr(connection.transport, "create_connection", fail)
    refusal = await refusal_of(connection, TcpAddress(LOOPBACK, 1))

    assert refusal.reason is Reason.FAILED
    assert str(refusal) == "Channel already open"


async def test_a_channel_that_opens_after_cancellation_is_closed(
    server: Server, connection: Connection
) -> None:
    gate, counters = Gate(), Counters()
    gate.open(connection)
    server.may_open.clear()
    async with service(echo) as port, asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(
            gate.connect(TcpAddress(LOOPBACK, port), NO_ORIGIN, 10.0, counters)
        )
        await until(lambda: server.opening == 1)
        waiting.cancel()
        await until(waiting.done)
        assert len(channels(connection)) == 1

        server.may_open.set()
        await until(lambda: not channels(connection))

    assert counters.connections == 0
    assert counters.connections_total == 1
    assert not connection.transport.writers


async def test_a_refusal_after_cancellation_is_no_error(
    server: Server, connection: Connection
) -> None:
    gate = Gate()
    gate.open(connection)
    server.may_open.clear()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(
            gate.connect(TcpAddress(LOOPBACK, closed_port()), NO_ORIGIN, 10.0, Counters())
        )
        await until(lambda: server.opening == 1)
        waiting.cancel()
        await until(waiting.done)
        server.may_open.set()
        await until(lambda: not channels(connection))

    assert not connection.is_closed


# The end


async def test_a_connection_that_the_server_closes_ends_as_lost(
    server: Server, connection: Connection
) -> None:
    server.drop()
    async with asyncio.timeout(10):
        failure = await connection.wait_ended()

    assert failure.cause is Cause.LOST
    assert failure.hop == str(connection.host)
    assert connection.is_closed


async def test_the_failure_contains_the_servers_disconnect_message(
    server: Server, connection: Connection
) -> None:
    (peer,) = server.connections
    peer.disconnect(asyncssh.DISC_SERVICE_NOT_AVAILABLE, "going down for maintenance")
    async with asyncio.timeout(10):
        failure = await connection.wait_ended()

    assert failure.cause is Cause.LOST
    assert "going down for maintenance" in failure.message


async def test_cancelling_one_waiter_for_the_end_leaves_the_others(
    server: Server, connection: Connection
) -> None:
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        cancelled = tasks.create_task(connection.wait_ended())
        waiter = tasks.create_task(connection.wait_ended())
        await until(lambda: connection._callbacks.ended._callbacks)
        cancelled.cancel()
        await until(cancelled.done)
        server.drop()

    assert waiter.result().cause is Cause.LOST


async def test_the_first_hop_that_ended_is_named_by_the_failure(
    server: Server, tmp_path: Path
) -> None:
    async with (
        jump_host(tmp_path) as (jump, jump_connection),
        connected(server.host(), via=jump_connection) as inner,
        asyncio.timeout(10),
    ):
        jump.drop()

        assert (await inner.wait_ended()).hop == str(jump_connection.host)
        assert (await jump_connection.wait_ended()).hop == str(jump_connection.host)


async def test_a_last_hop_that_ended_alone_is_named_by_the_failure(
    server: Server, tmp_path: Path
) -> None:
    async with (
        jump_host(tmp_path) as (_, jump_connection),
        connected(server.host(), via=jump_connection) as inner,
        asyncio.timeout(10),
    ):
        server.drop()

        assert (await inner.wait_ended()).hop == str(inner.host)
        assert not jump_connection.is_closed
        assert inner.transport not in jump_connection.transport.writers
        await until(lambda: not channels(jump_connection))


async def test_a_closed_connection_leaks_nothing(server: Server) -> None:
    async with no_leaks():
        async with connected(server.host()) as connection:
            await until(lambda: connection.rtt_ms is not None)
        await until(lambda: not server.connections)


async def test_a_connection_that_does_not_close_is_aborted(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    aborts: list[str] = []

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.02)
    monkeypatch.setattr(connection.transport, "wait_closed", never)
    monkeypatch.setattr(connection.transport, "abort", lambda: aborts.append("abort"))
    async with asyncio.timeout(10):
        await connection.close()

    assert aborts == ["abort"]


async def test_cancelling_the_close_still_releases_everything(server: Server) -> None:
    async with connected(server.host()) as connection, asyncio.timeout(10):
        async with asyncio.TaskGroup() as tasks:
            closing = tasks.create_task(connection.close())
            await asyncio.wait([closing], timeout=0)
            closing.cancel()

        assert closing.cancelled()
        assert connection.keepalive_monitor._timer is None
        await until(lambda: not server.connections)


async def test_a_command_on_a_connection_that_has_ended_is_refused(
    server: Server, connection: Connection
) -> None:
    server.drop()
    await connection.wait_ended()

    with pytest.raises(CommandRefusedError, match="closed"):
        await connection.run_command(RemoteCommand(CommandKind.COMMAND, "true"), CommandEndpoint())


async def test_a_channel_beyond_the_memory_of_a_server_is_refused_and_names_the_limit(
    connection: Connection,
) -> None:
    budget: Budget[Any] = Budget(memory_limits(0, 50_000, 0))
    connection.transport.use_budget(budget, "server", key="server")

    error = await refusal_of(connection, TcpAddress(LOOPBACK, closed_port()))

    assert error.reason is Reason.RESOURCE_SHORTAGE
    assert "the limit of the server is 0.1 MB" in str(error)
    assert not connection.is_closed
    assert budget.held(Resource.BYTES) == 0
