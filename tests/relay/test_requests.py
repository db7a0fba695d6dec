"""Requests of a client; an invalid request fails and the connection stays open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh
import pytest
from asyncssh.constants import (
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
)
from asyncssh.packet import SSHPacket, String, UInt32

from tests.forwarding.services import client, converse, echo, exchange, service
from tests.relay.in_process_relay import LOOPBACK, InProcessRelay, serve_relay
from tests.ssh.waiting import until
from tunnelkeeper.relay.permits import HostPermit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

UNKNOWN_CHANNEL = 4000


@pytest.fixture
async def open_relay(tmp_path: Path) -> AsyncIterator[InProcessRelay]:
    """Serve a relay that permits its own loopback, which the services of these tests use."""
    permits = (HostPermit("*", None), HostPermit(LOOPBACK, None), HostPermit("localhost", None))
    async with serve_relay(tmp_path, permit_open=permits) as relay:
        yield relay


async def can_still_forward(connection: asyncssh.SSHClientConnection) -> bool:
    """Return whether a connection still forwards."""
    async with service(echo) as port:
        reader, writer = await connection.open_connection(LOOPBACK, port)
        writer.write(b"still works")
        writer.write_eof()
        return bool(await reader.read() == b"still works")


async def request(connection: asyncssh.SSHClientConnection, name: bytes, *args: bytes) -> int:
    """Send a global request; return the message type of the answer."""
    kind, _ = await connection._make_global_request(name, *args)
    return kind


async def open_raw(
    connection: asyncssh.SSHClientConnection,
    monkeypatch: pytest.MonkeyPatch,
    kind: bytes,
    *args: bytes,
    packet_size: int = 32768,
) -> tuple[int, str]:
    """Open a channel with raw fields. Return the code and reason of the failure."""
    failures: list[tuple[int, str]] = []

    def on_failure(_self: object, _pkttype: int, _pktid: int, packet: SSHPacket) -> None:
        assert packet.get_uint32() == UNKNOWN_CHANNEL
        failures.append((packet.get_uint32(), packet.get_string().decode()))

    handlers = {**connection._packet_handlers, MSG_CHANNEL_OPEN_FAILURE: on_failure}
    monkeypatch.setattr(connection, "_packet_handlers", handlers, raising=False)
    sizes = UInt32(UNKNOWN_CHANNEL) + UInt32(1 << 20) + UInt32(packet_size)
    connection.send_packet(MSG_CHANNEL_OPEN, String(kind) + sizes, *args)
    return (await until(lambda: failures))[0]


# -- valid requests --------------------------------------------------------------------------------


async def test_a_client_opens_and_listens(open_relay: InProcessRelay) -> None:
    async with service(echo) as port, open_relay.client() as connection:
        listener = await connection.forward_remote_port("", 0, LOOPBACK, port)

        assert await exchange(listener.get_port(), b"from the relay") == b"from the relay"
        assert await can_still_forward(connection)
        assert open_relay.bound_targets == [f"localhost:{listener.get_port()}"]

        listener.close()
        await listener.wait_closed()
        assert open_relay.bound_targets == []
        with pytest.raises(ConnectionRefusedError):
            await exchange(listener.get_port(), b"")


async def test_a_chosen_port_is_bound_on_both_loopback_addresses(relay: InProcessRelay) -> None:
    async with service(echo) as port, relay.client() as connection:
        listener = await connection.forward_remote_port("localhost", 0, LOOPBACK, port)
        for host in (LOOPBACK, "::1"):
            async with client(listener.get_port(), host) as (reader, writer):
                assert await converse(reader, writer, b"hello") == b"hello"


async def test_bindings_are_released_when_the_client_disconnects(relay: InProcessRelay) -> None:
    async with relay.client() as connection:
        listener = await connection.forward_remote_port("", 0, LOOPBACK, 9)
        port = listener.get_port()
    await relay.wait_until_no_clients()

    async with relay.client() as connection:
        new_listener = await connection.forward_remote_port("", port, LOOPBACK, 9)
        assert new_listener.get_port() == port


@pytest.mark.parametrize(
    ("host", "expected_host"), [("", "localhost"), ("*", "localhost"), ("0.0.0.0", "localhost")]
)
async def test_without_gateway_ports_only_loopback_is_bound(
    relay: InProcessRelay, host: str, expected_host: str
) -> None:
    async with relay.client() as connection:
        listener = await connection.forward_remote_port(host, 0, LOOPBACK, 9)
        assert relay.bound_targets == [f"{expected_host}:{listener.get_port()}"]


async def test_with_gateway_ports_every_interface_is_bound(tmp_path: Path) -> None:
    async with serve_relay(tmp_path, gateway_ports="yes") as relay, relay.client() as connection:
        listener = await connection.forward_remote_port("localhost", 0, LOOPBACK, 9)
        assert relay.bound_targets == [f"*:{listener.get_port()}"]


async def test_gateway_ports_can_be_the_clients_choice(tmp_path: Path) -> None:
    async with (
        serve_relay(tmp_path, gateway_ports="clientspecified") as relay,
        relay.client() as connection,
    ):
        first = await connection.forward_remote_port("127.0.0.1", 0, LOOPBACK, 9)
        second = await connection.forward_remote_port("", 0, LOOPBACK, 9)
        assert relay.bound_targets == [f"127.0.0.1:{first.get_port()}", f"*:{second.get_port()}"]


# -- closed addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", [LOOPBACK, "localhost", "::1", "127.1", "2130706433", "::ffff:127.0.0.1"]
)
async def test_the_relays_own_loopback_is_closed(relay: InProcessRelay, host: str) -> None:
    async with service(echo) as port, relay.client() as connection:
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await connection.open_connection(host, port)

    assert refused.value.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
    assert "the relay's own" in refused.value.reason


@pytest.mark.parametrize("host", ["169.254.169.254", "fe80::1", "fd00:ec2::254", "0.0.0.0"])
async def test_metadata_and_link_local_addresses_are_closed(
    relay: InProcessRelay, host: str
) -> None:
    async with relay.client() as connection:
        with pytest.raises(asyncssh.ChannelOpenError, match="which is closed"):
            await connection.open_connection(host, 80)


async def test_a_port_bound_by_a_client_is_open_to_other_clients(relay: InProcessRelay) -> None:
    async with service(echo) as port, relay.client() as box, relay.client() as other_client:
        listener = await box.forward_remote_port("", 0, LOOPBACK, port)
        reader, writer = await other_client.open_connection("localhost", listener.get_port())
        writer.write(b"to the box")
        writer.write_eof()
        assert await reader.read() == b"to the box"


async def test_a_connection_refused_differs_from_a_closed_target(
    open_relay: InProcessRelay,
) -> None:
    async with open_relay.client() as connection:
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await connection.open_connection(LOOPBACK, 1)

    assert refused.value.code == asyncssh.OPEN_CONNECT_FAILED
    assert "refused" in refused.value.reason.lower()


# -- invalid requests ------------------------------------------------------------------------------


async def test_opening_a_port_beyond_65535_keeps_the_connection(open_relay: InProcessRelay) -> None:
    async with open_relay.client() as connection:
        with pytest.raises(asyncssh.ChannelOpenError, match="65616 is not a port"):
            await connection.open_connection(LOOPBACK, 65616)
        assert await can_still_forward(connection)


@pytest.mark.parametrize("host", ["x" * 300, "x..y", ("x" * 64) + ".example.com", "", "a b", "\0"])
async def test_opening_an_invalid_host_name_keeps_the_connection(
    open_relay: InProcessRelay, host: str
) -> None:
    async with open_relay.client() as connection:
        with pytest.raises(asyncssh.ChannelOpenError, match="not a host name or address"):
            await connection.open_connection(host, 80)
        assert await can_still_forward(connection)


async def test_a_host_name_that_is_not_utf8_keeps_the_connection(
    open_relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_relay.client() as connection:
        target = (String(b"\xff\xfe"), UInt32(80), String(""), UInt32(0))
        code, reason = await open_raw(connection, monkeypatch, b"direct-tcpip", *target)
        assert (code, "not a host name" in reason) == (1, True)
        assert await can_still_forward(connection)


async def test_listening_on_a_port_beyond_65535_keeps_the_connection(
    open_relay: InProcessRelay,
) -> None:
    async with open_relay.client() as connection:
        fields = (String("localhost"), UInt32(65616))
        assert await request(connection, b"tcpip-forward", *fields) == MSG_REQUEST_FAILURE
        assert await can_still_forward(connection)


async def test_listening_on_a_long_host_name_keeps_the_connection(
    open_relay: InProcessRelay,
) -> None:
    async with open_relay.client() as connection:
        fields = (String("x" * 300), UInt32(0))
        assert await request(connection, b"tcpip-forward", *fields) == MSG_REQUEST_FAILURE
        assert await can_still_forward(connection)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        (b"cancel-tcpip-forward", String("localhost") + UInt32(2222)),
        (b"cancel-tcpip-forward", String(b"\xff") + UInt32(70000)),
        (b"cancel-streamlocal-forward@openssh.com", String("/nowhere")),
        (b"streamlocal-forward@openssh.com", String("/" + "x" * 300)),
        (b"no-such-request@example.com", b""),
    ],
)
async def test_an_unknown_cancel_or_request_keeps_the_connection(
    open_relay: InProcessRelay, name: bytes, args: bytes
) -> None:
    async with open_relay.client() as connection:
        assert await request(connection, name, args) == MSG_REQUEST_FAILURE
        assert await can_still_forward(connection)


@pytest.mark.parametrize("kind", [b"direct-tcpip", b"session", b"x11"])
async def test_a_packet_size_of_zero_keeps_the_connection(
    open_relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    async with open_relay.client() as connection:
        _, reason = await open_raw(connection, monkeypatch, kind, packet_size=0)
        assert reason == "a packet size of 0 bytes"
        assert await can_still_forward(connection)


@pytest.mark.parametrize("kind", [b"x11", b"tun@openssh.com", b"forwarded-tcpip", b"\xff"])
async def test_refusing_other_kinds_of_channels_keeps_the_connection(
    open_relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    args = (UInt32(1), UInt32(0)) if kind.startswith(b"tun") else ()
    async with open_relay.client() as connection:
        await open_raw(connection, monkeypatch, kind, *args)
        assert await can_still_forward(connection)


async def test_a_request_without_want_reply_is_executed(open_relay: InProcessRelay) -> None:
    async with open_relay.client() as connection:
        connection._send_global_request(b"no-such-request@example.com")
        assert await request(connection, b"keepalive@openssh.com") == MSG_REQUEST_SUCCESS


async def test_a_port_below_1024_is_not_bound_without_a_rule(relay: InProcessRelay) -> None:
    async with relay.client() as connection:
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("", 1023, LOOPBACK, 9)
        await connection.forward_remote_port("home", 22, LOOPBACK, 9)  # a name binds no port

        assert relay.bound_targets == ["home:22"]
        reason = relay.server.status().refusals.recent[-1].reason
        assert reason.startswith("port 1023 is below 1024; a rule of the relay has to name it")
