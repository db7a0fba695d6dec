"""The fast path on real connections: key exchanges, jump hosts, and unsupported settings."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.forwarding.services import MEGABYTE, blob, echo, exchange, hash_sink, service, sha256
from tests.forwarding.sites import local_site
from tests.ssh.established import Established, Session
from tests.ssh.server import Server, connected, jump_host, serve
from tests.ssh.waiting import until
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters
from tunnelkeeper.forwarding.socks_stream import SocksStream
from tunnelkeeper.ssh.fastpath import connection
from tunnelkeeper.ssh.fastpath.connection import MIN_VIEW_BYTES, FastPathConnection

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.core.snapshot import Step
    from tunnelkeeper.ssh.connection import Connection

AES_GCM = "aes128-gcm@openssh.com"
DATA = blob(4 * MEGABYTE)


@pytest.fixture(params=[True, False], ids=["fast path", "asyncssh"])
def each_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with and without the fast path."""
    monkeypatch.setattr(connection, "ENABLED", request.param)


@pytest.fixture
def fast_path_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if the fast path is used."""

    def fail(*_: object) -> None:
        raise AssertionError("the fast path was used")

    monkeypatch.setattr(connection, "ENABLED", True)
    monkeypatch.setattr(FastPathConnection, "send_data", fail)
    monkeypatch.setattr(FastPathConnection, "_handle_packet", fail)


async def echo_through_forward(connection: Connection, data: bytes) -> bytes:
    """Return what an echo server returns through a forward."""
    async with (
        asyncio.timeout(20),
        service(echo) as port,
        local_site(TcpAddress("127.0.0.1", port), connection) as site,
    ):
        return await exchange(site.port, data)


# Key exchanges


@pytest.mark.usefixtures("each_path")
@pytest.mark.parametrize(("client_limit", "server_limit"), [(1, 1 << 10), (1 << 10, 1), (1, 1)])
async def test_data_flows_in_both_directions_during_key_exchanges(
    tmp_path: Path, client_limit: int, server_limit: int
) -> None:
    """The limits are the megabytes that a side sends before it starts a key exchange."""
    exchanged: list[Step] = []
    async with (
        serve(tmp_path, rekey_bytes=server_limit * MEGABYTE) as server,
        connected(server.host(ciphers=AES_GCM)) as connection,
    ):
        connection.transport._rekey_bytes = client_limit * MEGABYTE
        connection.transport.on_step = exchanged.append

        assert await echo_through_forward(connection, DATA) == DATA

    assert exchanged.count("host_key") >= 3  # the server presents its key at every exchange


@pytest.mark.usefixtures("each_path")
async def test_buffered_and_deferred_data_is_sent_in_order(server: Server) -> None:
    async with (
        connected(server.host(ciphers=AES_GCM)) as connection,
        service(hash_sink) as port,
    ):
        transport = connection.transport
        channel: Any
        channel, session = await transport.create_connection(Session, "127.0.0.1", port)
        assert isinstance(session, Session)
        transport._rekey_bytes = MEGABYTE // 4
        channel.write(DATA)

        assert transport._deferred_packets
        assert channel._send_buf

        channel.write(b"behind it")
        channel.write_eof()
        await until(lambda: len(session.received) == 64)

    assert session.received.decode() == sha256(DATA + b"behind it")


# Jump hosts and SOCKS


@pytest.mark.usefixtures("each_path")
async def test_a_connection_through_a_jump_host_accepts_its_channels_data(
    server: Server, tmp_path: Path
) -> None:
    async with (
        jump_host(tmp_path, ciphers=AES_GCM) as (_, jump_connection),
        connected(server.host(ciphers=AES_GCM), via=jump_connection) as inner,
    ):
        kinds: set[type] = set()
        receive = inner.transport.data_received

        def record(data: bytes, datatype: Any = None) -> None:
            kinds.add(type(data))
            receive(data, datatype)

        inner.transport.data_received = record  # type: ignore[method-assign,assignment]

        assert await echo_through_forward(inner, DATA) == DATA

    assert (memoryview in kinds) == connection.ENABLED


async def test_a_socks_request_may_arrive_in_a_large_packet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "ENABLED", True)
    methods, request = bytes([5, 1, 0]), bytes([5, 1, 0, 1, 192, 0, 2, 7, 0, 80])
    requested: list[TcpAddress] = []
    refused: list[str] = []
    client = Established()
    endpoint = ChannelEndpoint(Counters(), lambda _: None)
    endpoint.connection_made(client.open(endpoint))
    socks = SocksStream(endpoint, requested.append, refused.append)

    client.receive(client.peer.data(methods + request + bytes(MIN_VIEW_BYTES)))

    assert (requested, refused) == ([TcpAddress("192.0.2.7", 80)], [])
    assert socks.leftover == bytes(MIN_VIEW_BYTES)
    assert client.counts == (1, 1)
    socks.close()


# Unsupported settings


@pytest.mark.usefixtures("fast_path_unused")
async def test_compressed_data_does_not_use_the_fast_path(tmp_path: Path) -> None:
    async with (
        serve(tmp_path, compression_algs=["zlib@openssh.com"]) as server,
        connected(server.host(ciphers=AES_GCM, compression=True)) as connection,
    ):
        assert connection.transport.get_extra_info("send_compression") == "zlib@openssh.com"
        assert await echo_through_forward(connection, DATA) == DATA


@pytest.mark.usefixtures("fast_path_unused")
@pytest.mark.parametrize("cipher", ["aes128-ctr", "chacha20-poly1305@openssh.com"])
async def test_other_ciphers_do_not_use_the_fast_path(server: Server, cipher: str) -> None:
    async with connected(server.host(ciphers=cipher)) as connection:
        assert connection.cipher == cipher
        assert await echo_through_forward(connection, DATA) == DATA
