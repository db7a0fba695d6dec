from __future__ import annotations

import asyncio
import socket
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from tests.forwarding.opening import open_and_wait
from tests.forwarding.services import (
    CHUNK,
    EXCHANGE_TIMEOUT,
    MEGABYTE,
    blob,
    exchange,
    hash_sink,
    service,
    sha256,
)
from tests.forwarding.sites import KERNEL_BUFFER, Site, local_site
from tests.ssh.links import Link, link
from tests.ssh.server import Server, connected, serve
from tests.ssh.waiting import until, until_stable
from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, PauseReason, SocketEndpoint
from tunnelkeeper.ssh import open_channel, transport
from tunnelkeeper.ssh.channels import TcpChannel, UnixChannel
from tunnelkeeper.ssh.fastpath.connection import MIN_VIEW_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tunnelkeeper.ssh.connection import Connection

NO_PROBES = Keepalive(interval=0)
SENDERS = 8
SENDER_BYTES = 2 * MEGABYTE
"""Bytes of each sender: one window, so that only the link can pause it."""
MAX_QUEUED = 2 * MEGABYTE
"""Bytes kept for a congested link: its buffer, and one read of each sender."""


# A congested link


@asynccontextmanager
async def site_and_senders(connection: Connection) -> AsyncIterator[tuple[Site, list[Any]]]:
    """Run a forward to a service, with clients in the middle of sending."""
    async with (
        service(hash_sink) as port,
        local_site(TcpAddress("127.0.0.1", port), connection) as site,
    ):
        writers = []
        for _ in range(SENDERS):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=CHUNK)
            writers.append((reader, writer))
        await until(lambda: site.counters.connections == SENDERS)
        yield site, writers
        for _, writer in writers:
            writer.close()


def queued_bytes(connection: Connection) -> int:
    socket_transport = connection.transport._transport
    assert socket_transport is not None
    channels = connection.transport._channels.values()
    return socket_transport.get_write_buffer_size() + sum(
        channel._send_buf_len for channel in channels
    )


async def hashes_after_a_freeze(
    connection: Connection, frozen: Link, check: Callable[[], None]
) -> list[bytes]:
    """Send data while the link is frozen. Return the hashes of the data that arrived."""
    async with site_and_senders(connection) as (site, clients), asyncio.timeout(EXCHANGE_TIMEOUT):
        frozen.freeze()
        for _, writer in clients:
            writer.write(blob(SENDER_BYTES))
            writer.write_eof()
        await until(lambda: connection.transport.is_stalled)
        await until_stable(lambda: site.counters.bytes_out)
        check()
        frozen.thaw()
        return [await reader.read() for reader, _ in clients]


async def test_a_congested_link_pauses_all_its_writers(server: Server) -> None:
    async with link(server.port) as slow_link:
        server.port = slow_link.port
        server.add_known_host_key(server.host_key)
        async with connected(server.host(keepalive=NO_PROBES)) as connection:

            def check() -> None:
                assert queued_bytes(connection) < MAX_QUEUED
                for endpoint in list(connection.transport.writers):
                    assert isinstance(endpoint, ChannelEndpoint)
                    assert endpoint.is_write_paused

            hashes = await hashes_after_a_freeze(connection, slow_link, check)

            assert hashes == [sha256(blob(SENDER_BYTES)).encode()] * SENDERS
            await until(lambda: not connection.transport.is_stalled)


@asynccontextmanager
async def through_a_jump_host(folder: Path) -> AsyncIterator[tuple[Connection, Link]]:
    """Connect through a jump host; yield the connection and the link to that host."""
    async with AsyncExitStack() as stack:
        (folder / "jump").mkdir()
        (folder / "final").mkdir()
        jump = await stack.enter_async_context(serve(folder / "jump"))
        final = await stack.enter_async_context(serve(folder / "final"))
        slow_link = await stack.enter_async_context(link(jump.port))
        jump.port = slow_link.port
        jump.add_known_host_key(jump.host_key)
        jump_connection = await stack.enter_async_context(connected(jump.host(keepalive=NO_PROBES)))
        # The link must be full before the window of the one channel that runs through it.
        raw = jump_connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        yield (
            await stack.enter_async_context(
                connected(final.host(keepalive=NO_PROBES), via=jump_connection)
            ),
            slow_link,
        )


async def test_a_congested_link_pauses_the_writers_behind_a_jump_host(tmp_path: Path) -> None:
    async with through_a_jump_host(tmp_path) as (connection, slow_link):
        jump_connection = connection.jump
        assert jump_connection is not None

        def check() -> None:
            assert jump_connection.transport.is_stalled
            assert queued_bytes(jump_connection) + queued_bytes(connection) < MAX_QUEUED

        hashes = await hashes_after_a_freeze(connection, slow_link, check)

        assert hashes == [sha256(blob(SENDER_BYTES)).encode()] * SENDERS
        await until(
            lambda: not connection.transport.is_stalled and not jump_connection.transport.is_stalled
        )


async def test_a_link_paused_twice_resumes_when_both_causes_are_gone(
    connection: Connection,
) -> None:
    """Behind a jump host both the channel and the underlying link can pause it."""
    endpoint = ChannelEndpoint(Counters(), lambda _: None)
    connection.transport.writers.add(endpoint)
    for change, stalled in (
        (connection.transport.pause_writing, True),
        (connection.transport.pause_link, True),
        (connection.transport.resume_writing, True),
        (connection.transport.resume_link, False),
    ):
        change()
        assert (connection.transport.is_stalled, endpoint.is_write_paused) == (stalled, stalled)


async def test_a_connection_over_a_congested_link_starts_paused(
    tmp_path: Path,
) -> None:
    async with through_a_jump_host(tmp_path) as (connection, _):
        jump_connection = connection.jump
        assert jump_connection is not None
        await connection._release()
        jump_connection.transport.pause_writing()

        new_connection = type(connection)(
            connection.host, connection.transport, connection._callbacks, jump_connection
        )

        assert new_connection.transport._pause_count == 1

        jump_connection.transport.resume_writing()

        assert new_connection.transport._pause_count == 0
        await new_connection._release()


async def test_a_channel_over_a_congested_link_starts_paused(
    connection: Connection,
) -> None:
    endpoint = ChannelEndpoint(Counters(), lambda _: None)
    connection.transport.pause_writing()

    async with service(hash_sink) as port:
        await open_and_wait(connection, TcpAddress("127.0.0.1", port), endpoint)

    assert endpoint.is_write_paused

    connection.transport.resume_writing()

    assert not endpoint.is_write_paused


async def test_a_writer_that_filled_the_link_moves_to_the_back(
    connection: Connection,
) -> None:
    """Otherwise a large transfer could fill the link repeatedly before a small one is read."""
    released: list[str] = []

    class Named(SocketEndpoint):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def resume_reading(self, reason: PauseReason) -> None:
            super().resume_reading(reason)
            released.append(self.name)

    endpoints = {}
    async with service(hash_sink) as port:
        for name in ("large", "small", "idle"):
            endpoint = endpoints[name] = ChannelEndpoint(Counters(), lambda _: None)
            await open_and_wait(connection, TcpAddress("127.0.0.1", port), endpoint)
            endpoint.peer = Named(name)

        connection.transport.pause_writing()
        endpoints["large"].write(blob(CHUNK))
        connection.transport.resume_writing()
        assert released == ["small", "idle", "large"]

        released.clear()
        endpoints["small"].write(b"the link accepts this at once, so the order is kept")
        connection.transport.pause_writing()
        connection.transport.resume_writing()
        assert released == ["small", "idle", "large"]

        for endpoint in endpoints.values():
            endpoint.abort()


# The queue of a channel, and its window credit


async def open_paused(connection: Connection) -> tuple[ChannelEndpoint, Any]:
    """Open a channel that is paused until PauseReason.ALONE is removed, with its endpoint."""
    endpoint = ChannelEndpoint(Counters(), lambda opened: opened.pause_reading(PauseReason.NO_PEER))
    await open_and_wait(connection, TcpAddress("ignored", 1), endpoint)
    return endpoint, endpoint._channel


class Sender(asyncssh.SSHTCPSession[bytes]):
    """Serves a channel on the server: sends pieces as the window allows."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.channel: Any = None

    def connection_made(self, chan: Any) -> None:
        self.channel = chan
        for piece in self._pieces:
            chan.write(piece)


@pytest.mark.skipif(
    not transport.NEEDS_FLOW_CONTROL, reason="this asyncssh does not have the defect"
)
async def test_the_credit_given_adds_up_to_what_was_delivered(
    server: Server, connection: Connection
) -> None:
    data = blob(9 * MEGABYTE)
    sender = Sender([data])
    server.session = lambda: sender
    endpoint, channel = await open_paused(connection)
    await until_stable(lambda: channel._recv_window)

    assert channel._recv_window == 0  # all data is queued and no credit was sent

    async with asyncio.timeout(EXCHANGE_TIMEOUT):
        while endpoint._counters.bytes_in < len(data):
            endpoint.resume_reading(PauseReason.NO_PEER)
            endpoint.pause_reading(PauseReason.NO_PEER)
            queued = sum(len(piece) for piece, _ in channel._recv_buf)
            credit = channel._recv_window + queued + channel._delivered
            assert credit <= channel._init_recv_window  # the window may grow meanwhile
            await until_stable(lambda: channel._recv_window, turns=2)

    assert endpoint._counters.bytes_in == len(data)
    assert channel._recv_window + channel._delivered == channel._init_recv_window
    assert channel._delivered <= channel._init_recv_window / 2
    # The send window of the peer becomes equal to our receive window.
    await until(lambda: sender.channel._send_window == channel._recv_window)


async def test_a_long_queue_is_delivered_without_walking_it_for_each(
    server: Server, connection: Connection
) -> None:
    class NotIterable(list[tuple[bytes, Any]]):
        def __iter__(self) -> Any:
            raise AssertionError("the queue was iterated")

    pieces = [bytes([number]) * MIN_VIEW_BYTES for number in range(60)]  # smaller ones are joined
    server.session = lambda: Sender(pieces)
    endpoint, channel = await open_paused(connection)
    await until(lambda: len(channel._recv_buf) == len(pieces))

    channel._recv_buf = NotIterable(channel._recv_buf)
    endpoint.resume_reading(PauseReason.NO_PEER)

    assert endpoint._counters.bytes_in == sum(map(len, pieces))


async def test_channels_of_every_kind_are_bounded(
    server: Server, connection: Connection, tmp_path: Path
) -> None:
    if not transport.NEEDS_FLOW_CONTROL:
        pytest.skip("this asyncssh does not have the defect")
    endpoint = ChannelEndpoint(Counters(), lambda _: None)
    path = tmp_path / "service.sock"
    async with service(hash_sink, path):
        await open_and_wait(connection, UnixAddress(str(path)), endpoint)
        assert isinstance(endpoint._channel, UnixChannel)

    server.session = lambda: Sender([])
    _, channel = await open_paused(connection)
    assert isinstance(channel, TcpChannel)


async def test_an_asyncssh_without_the_defect_uses_its_own_channels(
    server: Server, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "NEEDS_FLOW_CONTROL", False)
    monkeypatch.setattr(open_channel, "ENABLED", False)
    server.session = lambda: Sender([])
    _, channel = await open_paused(connection)
    assert not isinstance(channel, TcpChannel)

    path = tmp_path / "service.sock"
    endpoint = ChannelEndpoint(Counters(), lambda _: None)
    server.session = None
    async with service(hash_sink, path):
        await open_and_wait(connection, UnixAddress(str(path)), endpoint)
        assert not isinstance(endpoint._channel, UnixChannel)


# Keepalives and keys


async def test_received_data_updates_the_time_of_the_last_receipt(connection: Connection) -> None:
    before = connection.transport.last_received_at
    await connection.transport.send_keepalive()

    assert before < connection.transport.last_received_at <= time.monotonic()


async def test_a_keepalive_is_answered_by_a_server_that_does_not_know_it(
    connection: Connection,
) -> None:
    assert await connection.transport.send_keepalive() is True


async def test_a_connection_has_exchanged_keys(connection: Connection) -> None:
    assert connection.transport.has_exchanged_keys


async def test_a_transfer_continues_over_a_new_key_exchange(tmp_path: Path) -> None:
    data = blob(4 * MEGABYTE)
    async with (
        serve(tmp_path, rekey_bytes=MEGABYTE) as server,
        connected(server.host()) as connection,
        service(hash_sink) as port,
        local_site(TcpAddress("127.0.0.1", port), connection) as site,
        asyncio.timeout(20),
    ):
        assert await exchange(site.port, data) == sha256(data).encode()


async def test_a_channel_that_asyncssh_makes_takes_packets_of_the_usual_size(
    connection: Connection,
) -> None:
    """Asyncssh makes the channels of a forwarded agent, without naming sizes."""
    for create in (
        connection.transport.create_tcp_channel,
        connection.transport.create_unix_channel,
    ):
        channel: Any = create()
        try:
            assert channel._recv_pktsize == 32 * 1024
            assert channel._recv_window >= channel._recv_pktsize
        finally:
            channel._cleanup()
