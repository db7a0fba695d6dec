"""A peer that asks and never reads, that answers nothing, or that sends a compression bomb."""

from __future__ import annotations

import asyncio
import socket
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh.constants import MSG_CHANNEL_OPEN, MSG_KEXINIT
from asyncssh.packet import String, UInt32

from tests.relay.in_process_relay import InProcessRelay, new_key, serve_relay
from tests.ssh.server import connected, serve
from tests.ssh.waiting import until
from tunnelkeeper.core.budget import Level, Resource
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.ssh import bounded_connection
from tunnelkeeper.ssh.bounded_connection import BoundedDecompressor
from tunnelkeeper.ssh.liveness import MAX_UNANSWERED, KeepaliveSupport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MB = 1 << 20
BOMB = 32 * MB
"""Bytes that one packet inflates to: a packet of 256 KiB can hold eight times as much."""

SMALL = 32 * 1024
"""Bytes of a limit that replies soon exceed."""

KEEPALIVE = b"keepalive@openssh.com"


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[InProcessRelay]:
    async with serve_relay(tmp_path) as relay:
        yield relay


# -- replies that are not read ---------------------------------------------------------------------


async def test_a_client_that_asks_and_does_not_read_is_disconnected(
    relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_connection, "OUTPUT_LIMIT", SMALL)
    async with relay.client(authorized_key(relay)) as other, relay.client() as attacker:
        await ask_without_reading(attacker, relay)
        assert not other.is_closed()


async def test_replies_that_are_not_read_count_as_memory_of_the_client(
    relay: InProcessRelay, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = authorized_key(relay)
    monkeypatch.setattr(bounded_connection, "UNCOUNTED_OUTPUT", SMALL // 2)
    relay.server._context.budget.set_limits({(Level.KEY, Resource.BYTES): SMALL})
    async with relay.client(key) as attacker:
        await ask_without_reading(attacker, relay)

    assert "is disconnected: it held" in caplog.text
    assert key.get_fingerprint() in caplog.text


def authorized_key(relay: InProcessRelay) -> asyncssh.SSHKey:
    key = new_key()
    relay.authorize(key)
    return key


async def ask_without_reading(attacker: Any, relay: InProcessRelay) -> None:
    """Ask until the relay ends the connection, in a bounded number of requests."""
    own_socket = attacker._transport.get_extra_info("socket")
    own_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    attacker._transport.pause_reading()
    clients = list(relay.server._clients)
    lower: Any = clients[-1].transport._transport
    lower.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    for _ in range(60):
        if relay.server._clients != clients:
            break
        for _ in range(100):
            attacker._send_global_request(KEEPALIVE, want_reply=True)
            attacker.send_packet(MSG_CHANNEL_OPEN, String(b"x"), *[UInt32(1000)] * 3)
        await asyncio.sleep(0)
    await until(lambda: relay.server._clients != clients)


async def test_replies_wait_for_the_end_of_a_key_exchange_in_a_bounded_number(
    relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_connection, "MAX_DEFERRED_PACKETS", 100)
    async with relay.client() as attacker:
        handlers = {**attacker._packet_handlers, MSG_KEXINIT: lambda *_: True}
        vars(attacker)["_packet_handlers"] = handlers  # it never answers
        [client] = relay.server._clients
        client.transport._send_kexinit()
        client.transport._kexinit_sent = True  # as asyncssh does
        for _ in range(300):
            attacker._send_global_request(KEEPALIVE, want_reply=True)
            await asyncio.sleep(0)
        await until(lambda: not relay.server._clients)


# -- keepalives that are not answered --------------------------------------------------------------


async def test_keepalives_that_are_not_answered_do_not_pile_up(tmp_path: Path) -> None:
    async with (
        serve(tmp_path) as server,
        connected(server.host()) as connection,
        asyncio.TaskGroup() as tasks,
    ):
        transport = connection.transport
        await until(lambda: transport.keepalive_support is not KeepaliveSupport.UNKNOWN)
        await until(lambda: not transport._global_request_waiters)
        server.ignores = lambda _number, _name: True
        waiting = [
            tasks.create_task(transport.send_keepalive(is_repeated=bool(number % 2)))
            for number in range(MAX_UNANSWERED)
        ]
        await until(
            lambda: len(transport._global_request_waiters) + transport.probe_count == MAX_UNANSWERED
        )
        with pytest.raises(TimeoutError, match="16 keepalives are unanswered"):
            await transport.send_keepalive()
        for task in waiting:
            task.cancel()


# -- compression bombs -----------------------------------------------------------------------------


@cache
def bomb() -> bytes:
    """Return data that inflates to BOMB bytes."""
    compressor = zlib.compressobj()
    return b"".join(compressor.compress(bytes(MB)) for _ in range(BOMB // MB)) + compressor.flush(
        zlib.Z_SYNC_FLUSH
    )


def test_a_packet_inflates_up_to_the_limit_and_no_further() -> None:
    compressor = zlib.compressobj()
    packets = [b"first", bytes(1000), b"", b"third" * 100]
    decompressor = BoundedDecompressor(1000)

    for packet in packets:
        data = compressor.compress(packet) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert decompressor.decompress(data) == packet
    data = compressor.compress(bytes(1001)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(asyncssh.CompressionError, match="inflates to more than 1000 bytes"):
        decompressor.decompress(data)


def test_data_that_is_not_compressed_is_refused() -> None:
    with pytest.raises(asyncssh.CompressionError, match="cannot be decompressed"):
        BoundedDecompressor(1000).decompress(b"no zlib data")


async def test_a_bomb_of_a_server_ends_its_connection_and_takes_no_memory(tmp_path: Path) -> None:
    class Bomb:
        def compress(self, data: bytes) -> bytes:
            del data
            return bomb()

    async with (
        serve(tmp_path) as server,
        connected(server.host(compression=True)) as connection,
    ):
        [hostile] = server.connections
        assert connection.transport.get_extra_info("recv_compression") == "zlib@openssh.com"
        vars(hostile)["_compressor"] = Bomb()
        hostile.send_debug("boom")
        failure = await connection.wait_ended()

    assert failure.cause is Cause.PROTOCOL
    assert "inflates to more than" in failure.message


async def test_the_relay_offers_no_compression(relay: InProcessRelay) -> None:
    with pytest.raises(asyncssh.KeyExchangeFailed):
        async with relay.client(compression_algs=["zlib@openssh.com", "zlib"]):
            pass
