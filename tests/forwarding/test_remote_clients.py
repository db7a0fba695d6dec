from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.forwarding.fakes import FakeChannel
from tests.forwarding.services import echo, hash_sink, service, sha256
from tests.ssh.links import closed_port
from tests.ssh.waiting import until
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.forward_spec import RemoteForward, RemoteSocksForward, TcpAddress
from tunnelkeeper.core.shares import Holder
from tunnelkeeper.forwarding.remote_clients import RemoteClients
from tunnelkeeper.net.descriptor_pool import GUARANTEED, DescriptorShare

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tunnelkeeper.core.forward_spec import RemotelyBoundForward

LISTEN = TcpAddress("localhost", 2222)


@asynccontextmanager
async def remote_clients(
    forward: RemotelyBoundForward,
) -> AsyncIterator[tuple[RemoteClients, list[str]]]:
    errors: list[str] = []
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        yield RemoteClients(forward, tasks, errors.append), errors


def socks4_request(port: int) -> bytes:
    return bytes([4, 1]) + port.to_bytes(2) + bytes([127, 0, 0, 1, 0])


def received_data(channel: FakeChannel) -> bytes:
    return b"".join(piece for piece in channel.calls if isinstance(piece, bytes))


async def test_a_channel_of_the_server_reaches_the_target_here() -> None:
    channel = FakeChannel()
    async with (
        service(echo) as port,
        remote_clients(RemoteForward(LISTEN, TcpAddress("127.0.0.1", port))) as (clients, errors),
    ):
        endpoint = await clients.accept()
        endpoint.connection_made(channel)
        endpoint.data_received(b"hello")
        await until(lambda: received_data(channel) == b"hello")
        endpoint.eof_received()
        await until(lambda: channel.calls[-1] == "close")
        endpoint.connection_lost(None)

    assert errors == []
    assert (clients.counters.bytes_in, clients.counters.bytes_out) == (5, 5)


async def test_a_refused_target_raises_for_the_server_and_is_reported() -> None:
    target = TcpAddress("127.0.0.1", closed_port())
    async with remote_clients(RemoteForward(LISTEN, target)) as (clients, errors):
        with pytest.raises(ConnectError) as failed:
            await clients.accept()

    assert failed.value.reason is Reason.REFUSED
    assert errors == [str(failed.value)]


async def test_a_channel_beyond_the_share_of_the_server_is_refused_and_reported_alike() -> None:
    target = TcpAddress("127.0.0.1", closed_port())
    async with remote_clients(RemoteForward(LISTEN, target)) as (clients, errors):
        clients.descriptors.pool.limit = lambda: 0
        for _ in range(2):
            with pytest.raises(ConnectError) as failed:
                await clients.accept()

    assert failed.value.reason is Reason.RESOURCE_SHORTAGE
    assert errors == [str(failed.value)] * 2  # one text, so that the log can be throttled


async def test_a_connection_to_a_target_has_a_place_until_it_is_closed() -> None:
    channel = FakeChannel()
    async with (
        service(echo) as port,
        remote_clients(RemoteForward(LISTEN, TcpAddress("127.0.0.1", port))) as (clients, _),
    ):
        pool = clients.descriptors.pool
        endpoint = await clients.accept()
        endpoint.connection_made(channel)
        assert pool.taken == 1

        endpoint.connection_lost(None)
        await until(lambda: pool.taken == 0)


async def test_a_server_with_the_most_connections_loses_one_to_another_holder() -> None:
    channels = [FakeChannel() for _ in range(3 * GUARANTEED)]
    async with (
        service(echo) as port,
        remote_clients(RemoteForward(LISTEN, TcpAddress("127.0.0.1", port))) as (clients, errors),
    ):
        pool = clients.descriptors.pool
        clients.descriptors = DescriptorShare(pool, (Holder("the server", 1),))
        endpoints = []
        for channel in channels:
            endpoints.append(await clients.accept())
            endpoints[-1].connection_made(channel)
        pool.limit = lambda: 0
        other = pool.take(Holder("a forward", 2))

        await until(lambda: pool.taken == len(channels))
        assert [channel.calls for channel in channels].count(["abort"]) == 1
        other.release()
        for endpoint in endpoints:
            endpoint.connection_lost(None)
        await until(lambda: pool.taken == 0)
    assert errors == ["a connection is closed for another forward: the server has the most"]


async def test_an_end_to_end_check_is_not_refused_for_lack_of_a_share() -> None:
    async with (
        service(echo) as port,
        remote_clients(RemoteForward(LISTEN, TcpAddress("127.0.0.1", port))) as (clients, errors),
    ):
        clients.descriptors.pool.limit = lambda: 0
        arrival = clients.expect_check_channel()
        endpoint = await clients.accept()
        endpoint.connection_made(FakeChannel())
        endpoint.connection_lost(None)

        assert await arrival == ""
    assert errors == []


async def test_a_socks_client_of_the_server_reaches_the_target_it_names() -> None:
    channel = FakeChannel()
    async with service(echo) as port, remote_clients(RemoteSocksForward(LISTEN)) as (clients, _):
        endpoint = await clients.accept()
        endpoint.connection_made(channel)
        endpoint.data_received(socks4_request(port) + b"early, ")
        await until(lambda: received_data(channel) == bytes([0, 0x5A]) + bytes(6) + b"early, ")
        endpoint.data_received(b"later")
        await until(lambda: received_data(channel).endswith(b"early, later"))
        endpoint.connection_lost(None)


async def test_a_half_close_after_a_socks_request_reaches_the_target() -> None:
    channel = FakeChannel()
    async with (
        service(hash_sink) as port,
        remote_clients(RemoteSocksForward(LISTEN)) as (clients, _),
    ):
        endpoint = await clients.accept()
        endpoint.connection_made(channel)
        endpoint.data_received(socks4_request(port) + b"all I say")
        endpoint.eof_received()
        await until(lambda: received_data(channel)[8:] == sha256(b"all I say").encode())
        endpoint.connection_lost(None)


async def test_a_socks_client_of_the_server_gets_a_reply_for_a_refused_target() -> None:
    channel = FakeChannel()
    async with remote_clients(RemoteSocksForward(LISTEN)) as (clients, errors):
        endpoint = await clients.accept()
        endpoint.connection_made(channel)
        endpoint.data_received(socks4_request(closed_port()))
        await until(lambda: channel.calls)

    assert channel.calls == [bytes([0, 0x5B]) + bytes(6), "close"]
    assert len(errors) == 1


async def test_a_socks_client_that_closes_before_its_target_is_connected_leaves_no_socket() -> None:
    channel = FakeChannel()
    async with service(echo) as port, remote_clients(RemoteSocksForward(LISTEN)) as (clients, _):
        endpoint = await clients.accept()
        endpoint.connection_made(channel)
        endpoint.data_received(socks4_request(port))
        endpoint.connection_lost(None)

    assert channel.calls == []
