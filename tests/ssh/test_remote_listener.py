from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.ssh.links import closed_port
from tests.ssh.waiting import until
from tunnelkeeper.core.failures import FailureError
from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress
from tunnelkeeper.ssh import remote_listener
from tunnelkeeper.ssh.remote_listener import RemoteListener, listen_host

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ssh.server import Server
    from tunnelkeeper.forwarding.pump import ChannelEndpoint
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.ssh.forwarded_channels import ServerListener


async def no_client() -> ChannelEndpoint:
    raise AssertionError("no client connects in these tests")


@dataclass
class FakeListener:
    """A listener of a server that never answers."""

    closed: bool = False
    never: asyncio.Event = field(default_factory=asyncio.Event)

    def close(self) -> None:
        self.closed = True

    async def wait_closed(self) -> None:
        await self.never.wait()


async def is_listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def test_for_port_0_the_address_has_the_port_that_the_server_chose(
    connection: Connection,
) -> None:
    listener = await connection.listen(TcpAddress("localhost", 0), no_client)

    address = listener.address
    assert isinstance(address, TcpAddress)
    assert address.host == "localhost"
    assert address.port > 0
    await listener.close()


async def test_a_requested_port_is_the_address(connection: Connection) -> None:
    requested = TcpAddress("localhost", closed_port())
    listener = await connection.listen(requested, no_client)

    assert listener.address == requested
    await listener.close()


async def test_a_requested_path_is_the_address(connection: Connection, tmp_path: Path) -> None:
    requested = UnixAddress(str(tmp_path / "there.sock"))
    listener = await connection.listen(requested, no_client)

    assert listener.address == requested
    await listener.close()


async def test_a_port_is_free_on_the_server_after_the_close(connection: Connection) -> None:
    port = closed_port()
    listener = await connection.listen(TcpAddress("127.0.0.1", port), no_client)
    await listener.close()

    assert not await is_listening(port)

    new_listener = await connection.listen(TcpAddress("127.0.0.1", port), no_client)
    await new_listener.close()


async def test_a_listener_that_opens_after_cancellation_is_closed(
    server: Server, connection: Connection
) -> None:
    port = closed_port()
    server.may_listen.clear()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        request = tasks.create_task(connection.listen(TcpAddress("127.0.0.1", port), no_client))
        await until(lambda: server.listening)
        request.cancel()
        await until(request.done)
        server.may_listen.set()

        new_listener = None
        while new_listener is None:  # the server answers requests in their order
            with suppress(FailureError):
                new_listener = await connection.listen(TcpAddress("127.0.0.1", port), no_client)
    await new_listener.close()


async def test_closing_after_the_connections_end_is_no_error(
    server: Server, connection: Connection
) -> None:
    listener = await connection.listen(TcpAddress("localhost", 0), no_client)
    server.drop()
    await connection.wait_ended()

    await listener.close()


async def test_closing_does_not_wait_for_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_listener, "CANCEL_TIMEOUT", 0.02)
    fake = FakeListener()
    ssh_listener: ServerListener = fake  # type: ignore[assignment]

    async with asyncio.timeout(10):
        await RemoteListener(TcpAddress("localhost", 2222), ssh_listener).close()

    assert fake.closed


@pytest.mark.parametrize(
    ("host", "requested"), [("*", ""), ("localhost", "localhost"), ("::1", "::1")]
)
def test_every_interface_is_requested_as_the_empty_string(host: str, requested: str) -> None:
    assert listen_host(host) == requested
