from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.forwarding.fakes import FakeChannel, FakeTransport
from tests.forwarding.services import client, read_all
from tests.forwarding.sites import ANY_PORT, local_site
from tests.ssh.waiting import until
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.forward_spec import LocalForward, SocksForward, TcpAddress, UnixAddress
from tunnelkeeper.forwarding.gate import STOPPED, Gate
from tunnelkeeper.forwarding.local_clients import LocalClients

if TYPE_CHECKING:
    from tunnelkeeper.core.connect_error import OnError
    from tunnelkeeper.core.forward_spec import Address, LocallyBoundForward
    from tunnelkeeper.forwarding.pump import ChannelEndpoint

TARGET = TcpAddress("db.home", 5432)
SOCKS4_REQUEST = bytes([4, 1]) + (5432).to_bytes(2) + bytes([0, 0, 0, 1, 0]) + b"db.home\0"
SOCKS4_GRANTED = bytes([0, 0x5A]) + bytes(6)
SOCKS4_REFUSED = bytes([0, 0x5B]) + bytes(6)
SOCKS5_REQUEST = bytes([5, 1, 0, 5, 1, 0, 3, 7]) + b"db.home" + (5432).to_bytes(2)


@dataclass
class FakeConnection:
    """Opens fake channels, or fails with an error."""

    error: ConnectError | None = None
    is_closed: bool = False
    requests: list[tuple[Address, tuple[str, int]]] = field(default_factory=list)
    opened: list[tuple[ChannelEndpoint, FakeChannel]] = field(default_factory=list)

    def open_channel(
        self, target: Address, endpoint: ChannelEndpoint, origin: tuple[str, int], on_error: OnError
    ) -> None:
        self.requests.append((target, origin))
        if self.error is not None:
            on_error(self.error)
            return
        channel = FakeChannel()
        self.opened.append((endpoint, channel))
        endpoint.connection_made(channel)


async def test_a_client_is_joined_with_a_channel_to_the_target() -> None:
    connection = FakeConnection()
    async with local_site(TARGET, connection) as site, client(site.port) as (reader, writer):
        client_address = writer.get_extra_info("sockname")
        await until(lambda: connection.opened)
        endpoint, channel = connection.opened[0]

        writer.write(b"question")
        await until(lambda: channel.calls == [b"question"])
        endpoint.data_received(b"answer")
        endpoint.connection_lost(None)

        assert await read_all(reader) == b"answer"
        assert connection.requests == [(TARGET, client_address)]
        assert site.errors == []


async def test_a_client_without_a_connection_is_served_by_the_next_one() -> None:
    connection = FakeConnection()
    async with local_site(TARGET) as site, client(site.port) as (_, writer):
        writer.write(b"early data")
        await until(lambda: site.gate._waiting)
        site.gate.open(connection)
        await until(lambda: connection.opened and connection.opened[0][1].calls == [b"early data"])


async def test_a_client_that_waited_too_long_is_closed_and_reported() -> None:
    async with local_site(TARGET, hold_timeout=0) as site, client(site.port) as (reader, _):
        with suppress(ConnectionResetError):
            assert await read_all(reader) == b""

        assert site.errors == ["db.home:5432: the tunnel's connection is away"]


async def test_a_refused_target_closes_its_client_and_is_reported() -> None:
    error = ConnectError(Reason.REFUSED, "Connection refused")
    async with local_site(TARGET, FakeConnection(error)) as site, client(site.port):
        await until(lambda: site.errors)

        assert site.errors == ["db.home:5432: Connection refused"]
        assert site.counters.connections_total == 0


@pytest.mark.parametrize(
    ("request_", "granted"),
    [
        (SOCKS4_REQUEST, [SOCKS4_GRANTED]),
        (SOCKS5_REQUEST, [bytes([5, 0]), bytes([5, 0, 0, 1]) + bytes(6)]),
    ],
)
async def test_a_socks_client_reaches_the_target_it_names(
    request_: bytes, granted: list[bytes]
) -> None:
    connection = FakeConnection()
    async with (
        local_site(None, connection) as site,
        client(site.port) as (reader, writer),
        asyncio.timeout(10),
    ):
        writer.write(request_ + b"early data")
        answer = await reader.readexactly(sum(map(len, granted)))
        endpoint, channel = connection.opened[0]
        writer.write(b", and more")
        await until(lambda: b"".join(map(bytes, channel.calls)) == b"early data, and more")  # type: ignore[arg-type]
        endpoint.data_received(b"reply")
        endpoint.eof_received()

        assert answer == b"".join(granted)
        assert await read_all(reader) == b"reply"
        assert [target for target, _ in connection.requests] == [TARGET]
        assert site.counters.bytes_out == len(b"early data, and more")


async def test_a_socks_client_without_early_data_sends_none() -> None:
    connection = FakeConnection()
    async with (
        local_site(None, connection) as site,
        client(site.port) as (reader, writer),
        asyncio.timeout(10),
    ):
        writer.write(SOCKS4_REQUEST)

        assert await reader.readexactly(8) == SOCKS4_GRANTED
        assert connection.opened[0][1].calls == []


async def test_a_socks5_client_gets_a_reply_for_a_refused_target() -> None:
    error = ConnectError(Reason.REFUSED, "Connection refused")
    async with (
        local_site(None, FakeConnection(error)) as site,
        client(site.port) as (reader, writer),
        asyncio.timeout(10),
    ):
        writer.write(SOCKS5_REQUEST)

        assert await read_all(reader) == bytes([5, 0, 5, 5, 0, 1]) + bytes(6)
        assert site.errors == ["db.home:5432: Connection refused"]


async def test_a_socks4_client_gets_a_reply_for_a_refused_target() -> None:
    async with (
        local_site(None, hold_timeout=0) as site,
        client(site.port) as (reader, writer),
        asyncio.timeout(10),
    ):
        writer.write(SOCKS4_REQUEST)

        assert await read_all(reader) == SOCKS4_REFUSED


async def test_a_client_of_another_protocol_is_reported() -> None:
    async with (
        local_site(None, FakeConnection()) as site,
        client(site.port) as (reader, writer),
        asyncio.timeout(10),
    ):
        writer.write(b"GET / HTTP/1.1\r\n")

        assert await read_all(reader) == b""
        assert "HTTP" in site.errors[0]


@pytest.mark.parametrize(
    ("forward", "data", "expected"),
    [
        (LocalForward(ANY_PORT, UnixAddress("/run/db.sock")), b"", ["abort"]),
        (SocksForward(ANY_PORT), SOCKS4_REQUEST, [SOCKS4_REFUSED, "close"]),
    ],
)
async def test_a_waiting_client_is_closed_when_its_tunnel_stops(
    forward: LocallyBoundForward, data: bytes, expected: list[object]
) -> None:
    fake_transport, gate = FakeTransport(), Gate()
    client_endpoint = LocalClients(forward, gate, 60.0, lambda _: None).accept()
    client_endpoint.connection_made(fake_transport)
    if data:
        client_endpoint.data_received(data)
    assert fake_transport.calls == []

    gate.open(STOPPED)

    assert fake_transport.calls == expected
