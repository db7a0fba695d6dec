"""The short way on real connections: new keys, jump hosts, and where it does not apply."""

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


@pytest.fixture(params=[True, False], ids=["short", "asyncssh's"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways in turn."""
    monkeypatch.setattr(connection, "ENABLED", request.param)


@pytest.fixture
def unused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The short way would fail, if it were taken."""

    def fail(*_: object) -> None:
        raise AssertionError("the short way was taken")

    monkeypatch.setattr(connection, "ENABLED", True)
    monkeypatch.setattr(FastPathConnection, "send_data", fail)
    monkeypatch.setattr(FastPathConnection, "_handle_packet", fail)


async def echoed(connection: Connection, data: bytes) -> bytes:
    """What comes back of data that goes through a forward to an echo."""
    async with (
        asyncio.timeout(20),
        service(echo) as port,
        local_site(TcpAddress("127.0.0.1", port), connection) as site,
    ):
        return await exchange(site.port, data)


# New keys


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("ours", "theirs"), [(1, 1 << 10), (1 << 10, 1), (1, 1)])
async def test_data_flows_both_ways_while_the_keys_are_exchanged(
    tmp_path: Path, ours: int, theirs: int
) -> None:
    """ours, theirs: megabytes that a side sends before it wants new keys."""
    exchanged: list[Step] = []
    async with (
        serve(tmp_path, rekey_bytes=theirs * MEGABYTE) as server,
        connected(server.host(ciphers=AES_GCM)) as connection,
    ):
        connection.transport._rekey_bytes = ours * MEGABYTE
        connection.transport.on_step = exchanged.append

        assert await echoed(connection, DATA) == DATA

    assert exchanged.count("host_key") >= 3  # the server proves itself at every exchange


@pytest.mark.usefixtures("way")
async def test_what_is_kept_and_what_waits_for_new_keys_goes_out_in_order(server: Server) -> None:
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


# Through a jump host, and through SOCKS


@pytest.mark.usefixtures("way")
async def test_a_connection_through_a_jump_host_takes_what_its_channel_hands_it(
    server: Server, tmp_path: Path
) -> None:
    async with (
        jump_host(tmp_path, ciphers=AES_GCM) as (_, outer),
        connected(server.host(ciphers=AES_GCM), via=outer) as inner,
    ):
        kinds: set[type] = set()
        take = inner.transport.data_received

        def look(data: bytes, datatype: Any = None) -> None:
            kinds.add(type(data))
            take(data, datatype)

        inner.transport.data_received = look  # type: ignore[method-assign,assignment]

        assert await echoed(inner, DATA) == DATA

    assert (memoryview in kinds) == connection.ENABLED


async def test_a_socks_client_on_a_channel_may_send_its_request_in_a_large_packet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "ENABLED", True)
    methods, request = bytes([5, 1, 0]), bytes([5, 1, 0, 1, 192, 0, 2, 7, 0, 80])
    asked: list[TcpAddress] = []
    refused: list[str] = []
    here = Established()
    end = ChannelEndpoint(Counters(), lambda _: None)
    end.connection_made(here.open(end))
    socks = SocksStream(end, asked.append, refused.append)

    here.receive(here.peer.data(methods + request + bytes(MIN_VIEW_BYTES)))

    assert (asked, refused) == ([TcpAddress("192.0.2.7", 80)], [])
    assert socks.leftover == bytes(MIN_VIEW_BYTES)
    assert here.counts == (1, 1)
    socks.close()


# Where it does not apply


@pytest.mark.usefixtures("unused")
async def test_compressed_data_takes_asyncsshs_way(tmp_path: Path) -> None:
    async with (
        serve(tmp_path, compression_algs=["zlib@openssh.com"]) as server,
        connected(server.host(ciphers=AES_GCM, compression=True)) as connection,
    ):
        assert connection.transport.get_extra_info("send_compression") == "zlib@openssh.com"
        assert await echoed(connection, DATA) == DATA


@pytest.mark.usefixtures("unused")
@pytest.mark.parametrize("cipher", ["aes128-ctr", "chacha20-poly1305@openssh.com"])
async def test_with_another_cipher_data_takes_asyncsshs_way(server: Server, cipher: str) -> None:
    async with connected(server.host(ciphers=cipher)) as connection:
        assert connection.cipher == cipher
        assert await echoed(connection, DATA) == DATA
