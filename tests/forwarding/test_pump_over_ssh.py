"""The pump on a real connection: what it carries, and what it keeps in memory."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from tests.forwarding.opening import opened
from tests.forwarding.services import (
    CHUNK,
    MEGABYTE,
    PATIENCE,
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
from tests.ssh.waiting import stays, until
from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, SocketEndpoint
from tunnelkeeper.ssh import open_channel, transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tunnelkeeper.ssh.connection import Connection

MUCH = 100 * MEGABYTE
ROOM = 3 * MEGABYTE
"""Bytes that one forwarded connection may keep beyond the window of its channel."""
FIRST_WINDOW = 2 * MEGABYTE
BOUND = FIRST_WINDOW + ROOM


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
    """A local forward to a service."""
    async with (
        service(handler) as port,
        local_site(TcpAddress("127.0.0.1", port), connection) as site,
    ):
        yield site


@asynccontextmanager
async def client_that_does_not_read(port: int) -> AsyncIterator[socket.socket]:
    """A client whose kernel keeps little for it."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        yield client


def kept(connection: Connection) -> int:
    """The bytes that this process keeps for the forwarded connections of an SSH connection."""
    total = 0
    for channel in channels(connection):
        total += sum(len(data) for data, _ in channel._recv_buf) + channel._send_buf_len
        peer = channel._session.peer if isinstance(channel._session, ChannelEndpoint) else None
        if isinstance(peer, SocketEndpoint) and peer._transport is not None:
            total += peer._transport.get_write_buffer_size()
    below = connection.transport._transport
    return total + (below.get_write_buffer_size() if below is not None else 0)


def bound(connection: Connection) -> int:
    """What may be kept for a connection's one channel, whose window may have grown meanwhile."""
    windows = [channel._init_recv_window for channel in channels(connection)]
    return max(windows, default=FIRST_WINDOW) + ROOM


def channels(connection: Connection) -> list[Any]:
    return list(connection.transport._channels.values())


# What is carried


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


async def test_an_answer_comes_after_the_clients_half_close(connection: Connection) -> None:
    data = blob(3 * MEGABYTE)
    async with forwarded(connection, hash_sink) as site:
        assert await exchange(site.port, data) == sha256(data).encode()

    await until(lambda: not channels(connection))


async def test_a_client_may_go_on_after_the_targets_half_close(connection: Connection) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"go on")
        writer.write_eof()
        heard.set_result(await read_all(reader))

    async with forwarded(connection, listen) as site, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        assert await read_all(reader) == b"go on"
        writer.write(b"and on")
        writer.close()

        assert await heard == b"and on"

    await until(lambda: not channels(connection))


async def test_nothing_is_lost_at_the_end_of_a_transfer(connection: Connection) -> None:
    data = blob(8 * MEGABYTE)
    async with forwarded(connection, source(data)) as site, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=CHUNK)
        # The target has closed long before its slow client has got everything.
        first = await reader.readexactly(MEGABYTE)
        await stays(lambda: site.counters.bytes_in)

        assert first + await read_all(reader) == data

        writer.close()


class SpeakAndLeave(asyncssh.SSHTCPSession[bytes]):
    """What serves a channel on the server: it says its piece and closes both directions."""

    def __init__(self, words: bytes) -> None:
        self._words = words

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        chan.write(self._words)
        chan.close()


async def test_nothing_is_lost_though_the_client_writes_after_the_targets_end(
    server: Server, connection: Connection
) -> None:
    data = blob(MEGABYTE)
    server.session = lambda: SpeakAndLeave(data)
    async with (
        local_site(TcpAddress("ignored", 1), connection) as site,
        client_that_does_not_read(site.port) as client,
        asyncio.timeout(PATIENCE),
    ):
        loop = asyncio.get_running_loop()
        await until(lambda: kept(connection) > 0)  # what the client has yet to get
        await until(channels(connection)[0].is_closing)
        await loop.sock_sendall(client, b"too late")
        received = bytearray()
        while piece := await loop.sock_recv(client, CHUNK):
            received += piece

        assert bytes(received) == data


async def test_twenty_transfers_at_once_arrive_intact(connection: Connection) -> None:
    blobs = [blob(MEGABYTE, seed) for seed in range(20)]
    async with forwarded(connection, echo) as site, asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(*(exchange(site.port, data) for data in blobs))

    assert [sha256(answer) for answer in answers] == [sha256(data) for data in blobs]
    await until(lambda: not channels(connection))


# What is kept


async def test_a_client_that_does_not_read_holds_the_far_side_back(connection: Connection) -> None:
    data = blob(MUCH)
    async with (
        forwarded(connection, source(data)) as site,
        client_that_does_not_read(site.port) as client,
        asyncio.timeout(PATIENCE),
    ):
        await stays(lambda: site.counters.bytes_in)

        assert kept(connection) < BOUND
        assert site.counters.bytes_in < 2 * BOUND  # of those, the kernel keeps some
        assert len(channels(connection)) == 1

        # Others are served meanwhile.
        async with forwarded(connection, echo) as other:
            assert await exchange(other.port, data[:MEGABYTE]) == data[:MEGABYTE]

        digest = hashlib.sha256()
        received = 0
        while received < len(data):
            piece = await asyncio.get_running_loop().sock_recv(client, CHUNK)
            assert piece
            assert kept(connection) < bound(connection)
            digest.update(piece)
            received += len(piece)

        assert digest.hexdigest() == sha256(data)


class Stalled(asyncssh.SSHTCPSession[bytes]):
    """What serves a channel on the server: it takes nothing until told to, then hashes."""

    def __init__(self) -> None:
        self.channel: Any = None
        self.received = 0
        self.digest = hashlib.sha256()
        self.ended = asyncio.Event()

    def connection_made(self, chan: Any) -> None:
        self.channel = chan
        asyncio.get_running_loop().call_soon(chan.pause_reading)  # asyncssh begins to read before

    def data_received(self, data: bytes, datatype: object = None) -> None:
        self.received += len(data)
        self.digest.update(data)

    def eof_received(self) -> bool:
        self.ended.set()
        return False


async def test_a_far_side_that_does_not_read_holds_the_client_back(
    server: Server, connection: Connection
) -> None:
    data = blob(MUCH)
    far = Stalled()
    server.session = lambda: far
    async with local_site(TcpAddress("ignored", 1), connection) as site, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=CHUNK)
        sending = asyncio.gather(converse(reader, writer, data))
        await stays(lambda: site.counters.bytes_out)

        assert kept(connection) < MEGABYTE  # the window's worth lies on the other side
        assert site.counters.bytes_out < BOUND

        # Others are served meanwhile.
        server.session = None
        async with forwarded(connection, echo) as other:
            assert await exchange(other.port, data[:MEGABYTE]) == data[:MEGABYTE]

        far.channel.resume_reading()
        await far.ended.wait()
        await sending
        writer.close()

        assert far.digest.hexdigest() == sha256(data)


async def is_bounded_for_a_slow_reader(connection: Connection) -> bool:
    """Whether no more than the window is ever kept for a client that reads now and then."""
    async with (
        forwarded(connection, source(blob(MUCH))) as site,
        client_that_does_not_read(site.port) as client,
        asyncio.timeout(PATIENCE),
    ):
        received = 0
        while received < 20 * MEGABYTE:
            await stays(lambda: site.counters.bytes_in, turns=1)
            received += len(await asyncio.get_running_loop().sock_recv(client, MEGABYTE))
            if kept(connection) > bound(connection):
                return False
    return True


async def test_what_is_kept_for_a_slow_reader_is_bounded(connection: Connection) -> None:
    assert await is_bounded_for_a_slow_reader(connection)


@pytest.mark.skipif(not transport.NEEDS_FLOW_CONTROL, reason="this asyncssh has not the defect")
async def test_without_our_channels_what_is_kept_for_a_slow_reader_grows(
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
    async with forwarded(connection, echo) as site, asyncio.timeout(PATIENCE):
        early = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(100)]
        await until(lambda: site.counters.connections == 100)
        for reader, writer in early:
            writer.write(b"x" * 1000)
            assert await reader.readexactly(1)  # in the middle of its conversation

        server.may_open.clear()
        late = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(200)]
        await until(lambda: server.opening == 300)
        assert len(channels(connection)) == 300
        for _, writer in late[:100]:
            writer.write(b"x" * 1000)
            reset(writer)  # before the channel is confirmed
        for _, writer in early:
            reset(writer)
        server.may_open.set()
        for _, writer in late[100:]:
            reset(writer)  # about when it is confirmed

        await until(lambda: not channels(connection))
        assert site.counters.connections == 0
        assert site.counters.connections_total == 300
        assert not connection.transport.writers
        assert await exchange(site.port, b"still here") == b"still here"


class Broken:
    """A peer with a bug."""

    def __init__(self) -> None:
        self.fed = 0

    def write(self, data: bytes) -> None:
        self.fed += 1
        raise ZeroDivisionError

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


async def test_a_fault_closes_its_own_channel_only(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Broken()

    def made(end: ChannelEndpoint) -> None:
        end.peer = broken

    async with (
        service(source(b"data")) as port,
        forwarded(connection, echo) as site,
        asyncio.timeout(PATIENCE),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        end = ChannelEndpoint(Counters(), made)
        await opened(connection, TcpAddress("127.0.0.1", port), end)
        await until(lambda: end.is_closed)

        assert broken.fed == 1
        assert len(channels(connection)) == 1  # the other's
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"

        writer.close()
    assert [record.levelname for record in caplog.records if record.name.startswith("tunnel")]
