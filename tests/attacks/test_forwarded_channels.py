"""A hostile server opens channels that the client did not ask for."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncssh
import psutil
import pytest
from asyncssh.constants import (
    MSG_GLOBAL_REQUEST,
    MSG_REQUEST_SUCCESS,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_RESOURCE_SHORTAGE,
)
from asyncssh.packet import UInt32

from tests.ssh.server import Server, connected, serve
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.ssh.remote_listener import RemoteListener

LOOPBACK = "127.0.0.1"
ATTEMPTS = 300
"""Channels of a flood: more than any table of listeners has entries."""


@dataclass
class Victim:
    """A client with a connection to a hostile server. reached: the forwards that were served."""

    server: Server
    connection: Connection
    reached: list[str] = field(default_factory=list)

    async def listen(self, name: str, address: Address) -> RemoteListener:
        """Start a remote forward."""

        async def accept() -> ChannelEndpoint:
            self.reached.append(name)
            return ChannelEndpoint(Counters(), lambda channel: channel.abort())

        return await self.connection.listen(address, accept)

    async def open(self, host: str, port: int) -> None:
        """Open a channel as if a client had come to a port of the server."""
        opening = self._attacker.create_connection(asyncssh.SSHTCPSession, host, port, LOOPBACK, 9)
        await self._finish(opening)

    async def open_path(self, path: str) -> None:
        """Open a channel as if a client had come to a path on the server."""
        await self._finish(self._attacker.create_unix_connection(asyncssh.SSHUNIXSession, path))

    @property
    def _attacker(self) -> Any:
        [connection] = self.server.connections
        return connection

    async def _finish(self, opening: Awaitable[Any]) -> None:
        async with asyncio.timeout(DEADLINE):
            channel, _ = await opening
            channel.abort()

    async def assert_refused(self, opening: Awaitable[None]) -> None:
        """Check that a channel is refused and no target is connected."""
        before = list(self.reached)
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await opening
        assert refused.value.code == OPEN_ADMINISTRATIVELY_PROHIBITED
        assert self.reached == before
        assert not self.connection.is_closed


@asynccontextmanager
async def victim(folder: Path) -> AsyncIterator[Victim]:
    async with serve(folder) as server, connected(server.host()) as connection:
        yield Victim(server, connection)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Victim]:
    async with victim(tmp_path) as client:
        yield client


def port_of(listener: RemoteListener) -> int:
    assert isinstance(listener.address, TcpAddress)
    return listener.address.port


async def test_only_the_requested_address_and_port_reach_the_target(client: Victim) -> None:
    port = port_of(await client.listen("web", TcpAddress("localhost", 0)))

    await client.open("localhost", port)
    assert client.reached == ["web"]
    other = port % 65535 + 1
    for host, number in [
        ("localhost", other),
        ("localhost", 0),
        ("localhost", port + 65536),
        ("LOCALHOST.", port),
        (LOOPBACK, port),
        ("", port),
        ("localhost\0", port),
    ]:
        await client.assert_refused(client.open(host, number))


async def test_a_server_cannot_cross_two_forwards_whose_ports_it_chose(client: Victim) -> None:
    first = port_of(await client.listen("first", TcpAddress("localhost", 0)))
    second = port_of(await client.listen("second", TcpAddress("localhost", 0)))

    await client.open("localhost", first)
    await client.open("localhost", second)
    await client.open("localhost", first)
    assert client.reached == ["first", "second", "first"]
    await client.assert_refused(client.open("localhost", first + second))


async def test_a_channel_of_openssh_5_has_no_port_if_the_server_chose_it(client: Victim) -> None:
    client.connection.transport.set_extra_info(server_version="SSH-2.0-OpenSSH_5.9p1 Debian-5")
    await client.assert_refused(client.open("localhost", 0))
    port = port_of(await client.listen("chosen", TcpAddress("localhost", 0)))

    await client.open("localhost", 0)
    await client.open("localhost", port)
    assert client.reached == ["chosen", "chosen"]
    await client.assert_refused(client.open("", 0))
    await client.assert_refused(client.open("localhost", port % 65535 + 1))
    await client.listen("second", TcpAddress("localhost", 0))
    await client.assert_refused(client.open("localhost", 0))


async def test_nothing_is_served_without_a_listener(client: Victim, tmp_path: Path) -> None:
    await client.assert_refused(client.open("localhost", 22))
    await client.assert_refused(client.open("", 0))
    await client.assert_refused(client.open_path(str(tmp_path / "socket")))


async def test_a_cancelled_listener_serves_nothing_even_if_the_server_does_not_answer(
    client: Victim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunnelkeeper.ssh.remote_listener.CANCEL_TIMEOUT", 0.01)
    path = str(tmp_path / "socket")
    listener = await client.listen("web", TcpAddress("localhost", 0))
    unix_listener = await client.listen("path", UnixAddress(path))
    port = port_of(listener)
    client.server.ignores = lambda number, _name: number == MSG_GLOBAL_REQUEST
    await listener.close()
    await unix_listener.close()

    await client.assert_refused(client.open("localhost", port))
    await client.assert_refused(client.open_path(path))


async def test_only_the_requested_path_reaches_the_target(client: Victim, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    await client.listen("path", UnixAddress(path))

    await client.open_path(path)
    assert client.reached == ["path"]
    for other in (f"{tmp_path}/./socket", f"{path}/", path[:-1], "", f"{path}\0"):
        await client.assert_refused(client.open_path(other))
    await client.assert_refused(client.open(path, 0))


def answering_with(port: int) -> Callable[..., None]:
    """Return a handler of tcpip-forward that always reports the same port."""

    def answer(connection: Any, _type: int, _id: int, _packet: object) -> None:
        connection.send_packet(MSG_REQUEST_SUCCESS, UInt32(port))

    return answer


@pytest.mark.parametrize("chosen", [0, 65536, 2**32 - 1])
async def test_a_port_that_does_not_exist_is_no_listener(client: Victim, chosen: int) -> None:
    vars(client._attacker)["_packet_handlers"][MSG_GLOBAL_REQUEST] = answering_with(chosen)

    with pytest.raises(FailureError) as failed:
        await client.listen("web", TcpAddress("localhost", 0))

    assert failed.value.failure.cause is Cause.PROTOCOL
    await client.assert_refused(client.open("localhost", chosen))


async def test_a_server_cannot_give_the_port_of_one_forward_to_another(client: Victim) -> None:
    vars(client._attacker)["_packet_handlers"][MSG_GLOBAL_REQUEST] = answering_with(8022)
    await client.listen("first", TcpAddress("localhost", 8022))

    with pytest.raises(FailureError) as failed:
        await client.listen("second", TcpAddress("localhost", 0))

    assert "8022" in failed.value.failure.message
    await client.open("localhost", 8022)
    assert client.reached == ["first"]


async def test_a_server_opens_no_further_channel_beyond_the_limit_of_a_connection(
    client: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunnelkeeper.ssh.forwarded_channels.MAX_CHANNELS", 0)
    port = port_of(await client.listen("web", TcpAddress("localhost", 0)))

    with pytest.raises(asyncssh.ChannelOpenError) as refused:
        await client.open("localhost", port)
    assert refused.value.code == OPEN_RESOURCE_SHORTAGE
    assert client.reached == []


async def test_channels_to_the_agent_leave_the_reserve_of_descriptors(client: Victim) -> None:
    client.connection.transport.forward_agent("/nonexistent")
    client.connection.transport.descriptors.limit = lambda: 0

    with pytest.raises(asyncssh.ChannelOpenError) as refused:
        await client._attacker.create_agent_channel().open(asyncssh.SSHUNIXSession)
    assert refused.value.code == OPEN_RESOURCE_SHORTAGE


async def test_a_flood_of_unrequested_channels_uses_no_descriptor(client: Victim) -> None:
    await client.listen("web", TcpAddress("localhost", 0))
    before = psutil.Process().num_fds()

    await flood(client)

    assert client.reached == []
    assert psutil.Process().num_fds() == before
    await until(lambda: client.connection.channel_count == 0)


async def flood(client: Victim) -> None:
    """Open many channels at once that the client refuses."""
    async with asyncio.TaskGroup() as tasks:
        for number in range(ATTEMPTS):
            tasks.create_task(client.assert_refused(client.open("localhost", number % 1024)))


async def test_a_flood_does_not_end_a_tunnel_to_another_server(
    client: Victim, tmp_path: Path
) -> None:
    (tmp_path / "honest").mkdir()
    async with victim(tmp_path / "honest") as honest:
        port = port_of(await honest.listen("web", TcpAddress("localhost", 0)))
        async with asyncio.TaskGroup() as tasks:
            attack = tasks.create_task(flood(client))
            await honest.open("localhost", port)
            await attack
            await honest.open("localhost", port)

        assert honest.reached == ["web", "web"]
        assert client.reached == []
