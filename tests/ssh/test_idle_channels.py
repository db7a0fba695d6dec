"""ChannelTimeout: idle channels of a type are closed, and no others."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.fake_clock import within_deadline
from tests.forwarding.services import echo, service
from tests.forwarding.sites import local_site
from tests.ssh.server import Server, connected
from tests.ssh.waiting import until
from tunnelkeeper.core.forward_spec import RemoteForward, TcpAddress
from tunnelkeeper.core.ssh_values import ChannelTimeout
from tunnelkeeper.forwarding.remote_clients import RemoteClients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.ssh.idle_channels import IdleChannels

LOOPBACK = "127.0.0.1"

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[Client]:
    """Connect a client, and wait until its data comes back."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        await ping((reader, writer))
        yield reader, writer
    finally:
        writer.close()


async def ping(client: Client) -> None:
    reader, writer = client
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"


def watched(connection: Connection) -> IdleChannels:
    return connection._idle_channels


@pytest.mark.parametrize("types", [["direct-tcpip"], ["session", "direct-*"], ["global"]])
async def test_an_idle_connection_is_closed(server: Server, types: list[str]) -> None:
    timeouts = tuple(ChannelTimeout(kind, 1) for kind in types)
    async with (
        within_deadline(),
        connected(server.host(channel_timeout=timeouts)) as connection,
        service(echo) as port,
        local_site(TcpAddress(LOOPBACK, port), connection) as site,
        client_of(site.port) as (reader, _),
    ):
        assert await reader.read() == b""
        await until(lambda: connection.channel_count == 0)
        assert watched(connection)._timer is None
        assert not connection.is_closed


async def test_a_connection_that_carries_data_stays_open(server: Server) -> None:
    timeouts = (ChannelTimeout("direct-tcpip", 1),)
    async with (
        within_deadline(),
        connected(server.host(channel_timeout=timeouts)) as connection,
        service(echo) as port,
        local_site(TcpAddress(LOOPBACK, port), connection) as site,
        client_of(site.port) as idle,
        client_of(site.port) as active,
    ):
        while not idle[0].at_eof():
            await ping(active)
        await ping(active)
        assert site.counters.connections == 1


@pytest.mark.parametrize(
    "timeouts",
    [
        (ChannelTimeout("forwarded-*", 1),),
        (ChannelTimeout("direct-tcpip", 0), ChannelTimeout("*", 1)),
        (),
    ],
)
async def test_other_types_and_a_timeout_of_zero_are_not_watched(
    server: Server, timeouts: tuple[ChannelTimeout, ...]
) -> None:
    async with (
        connected(server.host(channel_timeout=timeouts)) as connection,
        service(echo) as port,
        local_site(TcpAddress(LOOPBACK, port), connection) as site,
        client_of(site.port),
    ):
        assert watched(connection)._timer is None


async def test_a_global_timeout_needs_all_channels_to_be_idle(server: Server) -> None:
    timeouts = (ChannelTimeout("global", 1),)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(within_deadline())
        host = server.host(channel_timeout=timeouts)
        connection = await stack.enter_async_context(connected(host))
        port = await stack.enter_async_context(service(echo))
        site = await stack.enter_async_context(local_site(TcpAddress(LOOPBACK, port), connection))
        idle = await stack.enter_async_context(client_of(site.port))
        active = await stack.enter_async_context(client_of(site.port))
        loop = asyncio.get_running_loop()
        end = loop.time() + 1.5
        while loop.time() < end:
            await ping(active)
        await ping(idle)
        assert await idle[0].read() == await active[0].read() == b""


async def test_an_idle_connection_of_the_servers_side_is_closed(server: Server) -> None:
    timeouts = (ChannelTimeout("forwarded-tcpip", 1),)
    async with (
        within_deadline(),
        connected(server.host(channel_timeout=timeouts)) as connection,
        service(echo) as port,
        asyncio.TaskGroup() as tasks,
    ):
        forward = RemoteForward(TcpAddress("localhost", 0), TcpAddress(LOOPBACK, port))
        clients = RemoteClients(forward, tasks, pytest.fail)
        listener = await connection.listen(forward.listen, clients.accept)
        assert isinstance(listener.address, TcpAddress)
        async with client_of(listener.address.port) as (reader, _):
            assert await reader.read() == b""
        assert clients.counters.bytes_in == 4
