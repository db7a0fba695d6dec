from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.forwarding.services import blob, client, echo, exchange, hash_sink, service, sha256
from tests.ssh.links import closed_port
from tests.ssh.waiting import until
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.core.forward_spec import (
    RemoteForward,
    RemoteSocksForward,
    TcpAddress,
    UnixAddress,
)
from tunnelkeeper.forwarding.connect_target import connect_endpoint
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, SocketEndpoint, join
from tunnelkeeper.forwarding.remote_clients import RemoteClients

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ssh.server import Server
    from tunnelkeeper.ssh.connection import Connection

LOOPBACK = "127.0.0.1"


def channels(connection: Connection) -> list[Any]:
    return list(connection.transport._channels.values())


async def test_clients_of_the_server_reach_a_local_target(connection: Connection) -> None:
    data = blob(1 << 20)
    async with asyncio.TaskGroup() as tasks, service(echo) as port:
        forward = RemoteForward(TcpAddress("localhost", 0), TcpAddress(LOOPBACK, port))
        clients = RemoteClients(forward, tasks, pytest.fail)
        listener = await connection.listen(forward.listen, clients.accept)
        address = listener.address
        assert isinstance(address, TcpAddress)

        assert await exchange(address.port, data) == data
        assert (clients.counters.bytes_in, clients.counters.bytes_out) == (len(data), len(data))
        await until(lambda: not channels(connection))


async def test_clients_of_a_path_on_the_server_reach_a_local_target(
    connection: Connection, tmp_path: Path
) -> None:
    async with asyncio.TaskGroup() as tasks, service(echo) as port, asyncio.timeout(10):
        remote_path = UnixAddress(str(tmp_path / "there.sock"))
        forward = RemoteForward(remote_path, TcpAddress(LOOPBACK, port))
        listener = await connection.listen(remote_path, RemoteClients(forward, tasks, print).accept)
        reader, writer = await asyncio.open_unix_connection(remote_path.path)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await writer.wait_closed()
        await listener.close()
        await until(lambda: not channels(connection))


async def test_a_socks_client_of_the_server_half_closes_with_its_request(
    connection: Connection,
) -> None:
    async with asyncio.TaskGroup() as tasks, service(hash_sink) as port, asyncio.timeout(10):
        forward = RemoteSocksForward(TcpAddress("localhost", 0))
        clients = RemoteClients(forward, tasks, pytest.fail)
        address = (await connection.listen(forward.listen, clients.accept)).address
        assert isinstance(address, TcpAddress)
        request = bytes([4, 1]) + port.to_bytes(2) + bytes([127, 0, 0, 1, 0])

        response = await exchange(address.port, request + b"all data")

        assert response == bytes([0, 0x5A]) + bytes(6) + sha256(b"all data").encode()


async def test_a_local_target_that_refuses_closes_only_its_client(
    connection: Connection,
) -> None:
    refused: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        forward = RemoteForward(TcpAddress("localhost", 0), TcpAddress(LOOPBACK, closed_port()))
        clients = RemoteClients(forward, tasks, refused.append)
        address = (await connection.listen(forward.listen, clients.accept)).address
        assert isinstance(address, TcpAddress)

        assert await exchange(address.port, b"") == b""

    assert len(refused) == 1
    assert not connection.is_closed


async def test_an_error_while_serving_a_channel_refuses_only_that_channel(
    connection: Connection,
) -> None:
    async def broken() -> ChannelEndpoint:
        raise ZeroDivisionError

    address = (await connection.listen(TcpAddress("localhost", 0), broken)).address
    assert isinstance(address, TcpAddress)

    assert await exchange(address.port, b"") == b""
    assert not connection.is_closed
    await until(lambda: not channels(connection))


async def test_a_target_reached_after_the_connections_end_is_closed(
    server: Server, connection: Connection
) -> None:
    accepting, may_continue = asyncio.Event(), asyncio.Event()
    socket = SocketEndpoint()

    async with service(echo) as port:

        async def slow() -> ChannelEndpoint:
            await connect_endpoint(TcpAddress(LOOPBACK, port), socket)
            accepting.set()
            await may_continue.wait()
            return ChannelEndpoint(Counters(), lambda channel: join(socket, channel))

        address = (await connection.listen(TcpAddress("localhost", 0), slow)).address
        assert isinstance(address, TcpAddress)
        async with asyncio.timeout(10), client(address.port):
            await accepting.wait()
            server.drop()
            await connection.wait_ended()
            may_continue.set()
            await until(lambda: socket.is_closed)


async def test_the_message_of_a_server_that_forbids_is_quoted(
    server: Server, connection: Connection
) -> None:
    server.refuse_listening = True
    server.listen_debug_message = "port forwarding refused: not for you"
    for address in (TcpAddress("localhost", 2222), UnixAddress("/run/there.sock")):
        with pytest.raises(FailureError) as failed:
            await connection.listen(address, pytest.fail)

        failure = failed.value.failure
        assert failure.cause is Cause.FORWARD_DENIED
        assert failure.message.endswith("port forwarding refused: not for you")
        assert failure.hop == str(connection.host)


async def test_a_refusal_without_a_message_is_diagnosed_once_and_leaks_nothing(
    server: Server, connection: Connection
) -> None:
    server.refuse_listening = True
    async with service(echo) as used_port, asyncio.timeout(10):
        for port, cause in (
            (used_port, Cause.REMOTE_PORT_BUSY),
            (closed_port(), Cause.FORWARD_DENIED),
        ):
            for _ in range(2):
                with pytest.raises(FailureError) as failed:
                    await connection.listen(TcpAddress("127.0.0.1", port), pytest.fail)
                assert failed.value.failure.cause is cause
        await until(lambda: not channels(connection))

    assert server.opening == 2


async def test_the_probe_of_port_0_leaves_an_existing_listener_alone(
    server: Server, connection: Connection
) -> None:
    async with asyncio.TaskGroup() as tasks, service(echo) as port:
        forward = RemoteForward(TcpAddress("localhost", 0), TcpAddress(LOOPBACK, port))
        clients = RemoteClients(forward, tasks, pytest.fail)
        assigned = (await connection.listen(forward.listen, clients.accept)).address
        assert isinstance(assigned, TcpAddress)
        server.refuse_listening = server.refuse_opening = True
        with pytest.raises(FailureError) as failed:
            await connection.listen(TcpAddress("localhost", closed_port()), pytest.fail)

        assert failed.value.failure.cause is Cause.REMOTE_PORT_BUSY
        assert await exchange(assigned.port, b"still forwarded") == b"still forwarded"


async def test_a_path_that_is_refused_without_a_message_is_diagnosed(
    server: Server, connection: Connection, tmp_path: Path
) -> None:
    server.refuse_listening = True
    with pytest.raises(FailureError) as failed:
        await connection.listen(UnixAddress(str(tmp_path / "there.sock")), pytest.fail)

    assert failed.value.failure.cause is Cause.REMOTE_PORT_BUSY
    assert "StreamLocalBindUnlink" in failed.value.failure.hint


async def test_listening_on_a_connection_that_has_ended_is_a_failure(
    server: Server, connection: Connection
) -> None:
    server.drop()
    await connection.wait_ended()
    async with asyncio.timeout(10):
        with pytest.raises(FailureError):
            await connection.listen(TcpAddress("localhost", 0), pytest.fail)


async def test_an_invalid_port_is_a_failure(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ValueError("Invalid port")

    monkeypatch.setattr(connection.transport, "create_server", fail)
    with pytest.raises(FailureError) as failed:
        await connection.listen(TcpAddress("localhost", 0), pytest.fail)

    assert failed.value.failure.cause is Cause.PROTOCOL
