"""The pump on a real connection: the data it carries and the memory it takes."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from tests.forwarding.opening import open_and_wait
from tests.forwarding.services import (
    CHUNK,
    EXCHANGE_TIMEOUT,
    MEGABYTE,
    blob,
    converse,
    echo,
    exchange,
    hash_sink,
    read_all,
    reset,
    service,
    sha256,
    source,
)
from tests.forwarding.sites import Site, local_site
from tests.ssh.server import Server, connected, serve
from tests.ssh.waiting import until, until_stable
from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, SocketEndpoint
from tunnelkeeper.ssh import open_channel, transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tunnelkeeper.ssh.connection import Connection

LARGE = 100 * MEGABYTE
EXTRA_BUFFER = 3 * MEGABYTE
"""Bytes that one forwarded connection may buffer beyond the window of its channel."""
FIRST_WINDOW = 2 * MEGABYTE
MAX_BUFFERED = FIRST_WINDOW + EXTRA_BUFFER


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serve(tmp_path) as server:
        yield server


@pytest.fixture
async def connection(server: Server) -> AsyncIterator[Connection]:
    async with connected(server.host()) as connection:
        yield connection


@asynccontextmanager
async def forwarded(
    connection: Connection,
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Site]:
    """Run a local forward to a service."""
    async with (
        service(handler) as port,
        local_site(TcpAddress("127.0.0.1", port), connection) as site,
    ):
        yield site


@asynccontextmanager
async def client_that_does_not_read(port: int) -> AsyncIterator[socket.socket]:
    """Connect a client with a small receive buffer."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        yield client


def buffered_bytes(connection: Connection) -> int:
    """Return the bytes that this process buffers for the channels of an SSH connection."""
    total = 0
    for channel in channels(connection):
        total += sum(len(data) for data, _ in channel._recv_buf) + channel._send_buf_len
        peer = channel._session.peer if isinstance(channel._session, ChannelEndpoint) else None
        if isinstance(peer, SocketEndpoint) and peer._transport is not None:
            total += peer._transport.get_write_buffer_size()
    lower_transport = connection.transport._transport
    return total + (lower_transport.get_write_buffer_size() if lower_transport is not None else 0)


def max_buffered(connection: Connection) -> int:
    """Return the most that may be buffered for one channel, whose window may have grown."""
    windows = [channel._init_recv_window for channel in channels(connection)]
    return max(windows, default=FIRST_WINDOW) + EXTRA_BUFFER


def channels(connection: Connection) -> list[Any]:
    return list(connection.transport._channels.values())


# Data


async def test_bytes_arrive_intact_both_ways(connection: Connection) -> None:
    data = blob(10 * MEGABYTE)
    async with forwarded(connection, echo) as site:
        assert await exchange(site.port, data) == data

    assert (site.counters.bytes_in, site.counters.bytes_out) == (len(data), len(data))
    assert site.counters.connections_total == 1


async def test_bytes_arrive_intact_through_unix_sockets(
    connection: Connection, tmp_path: Path
) -> None:
    data = blob(3 * MEGABYTE)
    path = tmp_path / "service.sock"
    async with service(echo, path), local_site(UnixAddress(str(path)), connection) as site:
        assert await exchange(site.port, data) == data


async def test_a_response_arrives_after_the_clients_half_close(connection: Connection) -> None:
    data = blob(3 * MEGABYTE)
    async with forwarded(connection, hash_sink) as site:
        assert await exchange(site.port, data) == sha256(data).encode()

    await until(lambda: not channels(connection))


async def test_a_client_may_send_after_the_targets_half_close(connection: Connection) -> None:
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def send_then_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"response")
        writer.write_eof()
        received.set_result(await read_all(reader))

    async with forwarded(connection, send_then_read) as site, asyncio.timeout(EXCHANGE_TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        assert await read_all(reader) == b"response"
        writer.write(b"more data")
        writer.close()

        assert await received == b"more data"

    await until(lambda: not channels(connection))


async def test_nothing_is_lost_at_the_end_of_a_transfer(connection: Connection) -> None:
    data = blob(8 * MEGABYTE)
    async with forwarded(connection, source(data)) as site, asyncio.timeout(EXCHANGE_TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=CHUNK)
        # The target closes long before its slow client has received everything.
        first = await reader.readexactly(MEGABYTE)
        await until_stable(lambda: site.counters.bytes_in)

        assert first + await read_all(reader) == data

        writer.close()


class SendAndCloseSession(asyncssh.SSHTCPSession[bytes]):
    """A session on the server that sends data and closes both directions."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        chan.write(self._data)
        chan.close()


async def test_nothing_is_lost_when_the_client_writes_after_the_targets_close(
    server: Server, connection: Connection
) -> None:
    data = blob(MEGABYTE)
    server.session = lambda: SendAndCloseSession(data)
    async with (
        local_site(TcpAddress("ignored", 1), connection) as site,
        client_that_does_not_read(site.port) as client,
        asyncio.timeout(EXCHANGE_TIMEOUT),
    ):
        loop = asyncio.get_running_loop()
        await until(lambda: buffered_bytes(connection) > 0)  # the client has not received it yet
        await until(channels(connection)[0].is_closing)
        await loop.sock_sendall(client, b"too late")
        received = bytearray()
        while piece := await loop.sock_recv(client, CHUNK):
            received += piece

        assert bytes(received) == data


async def test_twenty_transfers_at_once_arrive_intact(connection: Connection) -> None:
    blobs = [blob(MEGABYTE, seed) for seed in range(20)]
    async with forwarded(connection, echo) as site, asyncio.timeout(EXCHANGE_TIMEOUT):
        answers = await asyncio.gather(*(exchange(site.port, data) for data in blobs))

    assert [sha256(answer) for answer in answers] == [sha256(data) for data in blobs]
    await until(lambda: not channels(connection))


# Memory


async def test_a_client_that_does_not_read_pauses_the_target(connection: Connection) -> None:
    data = blob(LARGE)
    async with (
        forwarded(connection, source(data)) as site,
        client_that_does_not_read(site.port) as client,
        asyncio.timeout(EXCHANGE_TIMEOUT),
    ):
        await until_stable(lambda: site.counters.bytes_in)

        assert buffered_bytes(connection) < MAX_BUFFERED
        assert site.counters.bytes_in < 2 * MAX_BUFFERED  # the kernel buffers a part
        assert len(channels(connection)) == 1

        # Other clients are served meanwhile.
        async with forwarded(connection, echo) as other:
            assert await exchange(other.port, data[:MEGABYTE]) == data[:MEGABYTE]

        digest = hashlib.sha256()
        received = 0
        while received < len(data):
            piece = await asyncio.get_running_loop().sock_recv(client, CHUNK)
            assert piece
            assert buffered_bytes(connection) < max_buffered(connection)
            digest.update(piece)
            received += len(piece)

        assert digest.hexdigest() == sha256(data)


class StalledSession(asyncssh.SSHTCPSession[bytes]):
    """A session on the server that reads only after the test resumes it, and hashes the data."""

    def __init__(self) -> None:
        self.channel: Any = None
        self.received = 0
        self.digest = hashlib.sha256()
        self.ended = asyncio.Event()

    def connection_made(self, chan: Any) -> None:
        self.channel = chan
        asyncio.get_running_loop().call_soon(
            chan.pause_reading
        )  # asyncssh starts reading only after this call

    def data_received(self, data: bytes, datatype: object = None) -> None:
        self.received += len(data)
        self.digest.update(data)

    def eof_received(self) -> bool:
        self.ended.set()
        return False


async def test_a_target_that_does_not_read_pauses_the_client(
    server: Server, connection: Connection
) -> None:
    data = blob(LARGE)
    server_session = StalledSession()
    server.session = lambda: server_session
    async with (
        local_site(TcpAddress("ignored", 1), connection) as site,
        asyncio.timeout(EXCHANGE_TIMEOUT),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=CHUNK)
        sending = asyncio.gather(converse(reader, writer, data))
        await until_stable(lambda: site.counters.bytes_out)

        assert buffered_bytes(connection) < MEGABYTE  # a whole window is buffered on the server
        assert site.counters.bytes_out < MAX_BUFFERED

        # Other clients are served meanwhile.
        server.session = None
        async with forwarded(connection, echo) as other:
            assert await exchange(other.port, data[:MEGABYTE]) == data[:MEGABYTE]

        server_session.channel.resume_reading()
        await server_session.ended.wait()
        await sending
        writer.close()

        assert server_session.digest.hexdigest() == sha256(data)


async def is_bounded_for_a_slow_reader(connection: Connection) -> bool:
    """Return whether the buffer for a client that reads slowly stays within its limit."""
    async with (
        forwarded(connection, source(blob(LARGE))) as site,
        client_that_does_not_read(site.port) as client,
        asyncio.timeout(EXCHANGE_TIMEOUT),
    ):
        received = 0
        while received < 20 * MEGABYTE:
            await until_stable(lambda: site.counters.bytes_in, turns=1)
            received += len(await asyncio.get_running_loop().sock_recv(client, MEGABYTE))
            if buffered_bytes(connection) > max_buffered(connection):
                return False
    return True


async def test_the_buffer_for_a_slow_reader_is_bounded(connection: Connection) -> None:
    assert await is_bounded_for_a_slow_reader(connection)


@pytest.mark.skipif(
    not transport.NEEDS_FLOW_CONTROL, reason="this asyncssh does not have the defect"
)
async def test_without_our_channels_the_buffer_for_a_slow_reader_grows(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "NEEDS_FLOW_CONTROL", False)
    monkeypatch.setattr(open_channel, "ENABLED", False)
    async with connected(server.host()) as connection:
        assert not await is_bounded_for_a_slow_reader(connection)


# Channels that fail


async def test_clients_that_are_reset_leave_no_channel(
    server: Server, connection: Connection
) -> None:
    async with forwarded(connection, echo) as site, asyncio.timeout(EXCHANGE_TIMEOUT):
        established = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(100)]
        await until(lambda: site.counters.connections == 100)
        for reader, writer in established:
            writer.write(b"x" * 1000)
            assert await reader.readexactly(1)  # in the middle of an exchange

        server.may_open.clear()
        pending = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(200)]
        await until(lambda: server.opening == 300)
        assert len(channels(connection)) == 300
        for _, writer in pending[:100]:
            writer.write(b"x" * 1000)
            reset(writer)  # before the channel is confirmed
        for _, writer in established:
            reset(writer)
        server.may_open.set()
        for _, writer in pending[100:]:
            reset(writer)  # while the channel is being confirmed

        await until(lambda: not channels(connection))
        assert site.counters.connections == 0
        assert site.counters.connections_total == 300
        assert not connection.transport.writers
        assert await exchange(site.port, b"still works") == b"still works"


class FaultyPeer:
    """A peer that raises."""

    def __init__(self) -> None:
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        raise ZeroDivisionError

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


async def test_an_exception_closes_only_its_own_channel(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    faulty_peer = FaultyPeer()

    def on_connected(endpoint: ChannelEndpoint) -> None:
        endpoint.peer = faulty_peer

    async with (
        service(source(b"data")) as port,
        forwarded(connection, echo) as site,
        asyncio.timeout(EXCHANGE_TIMEOUT),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        endpoint = ChannelEndpoint(Counters(), on_connected)
        await open_and_wait(connection, TcpAddress("127.0.0.1", port), endpoint)
        await until(lambda: endpoint.is_closed)

        assert faulty_peer.writes == 1
        assert len(channels(connection)) == 1  # only the channel of the client
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"

        writer.close()
    assert [record.levelname for record in caplog.records if record.name.startswith("tunnel")]
