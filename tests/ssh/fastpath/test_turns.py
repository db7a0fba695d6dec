"""A connection processes what it received in turns, and loses nothing between them."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import MSG_GLOBAL_REQUEST, MSG_IGNORE
from asyncssh.encryption import get_encryption
from asyncssh.packet import SSHPacket, String

from tests.ssh.established import Established
from tunnelkeeper.core.login_budget import PADDING_BURST
from tunnelkeeper.ssh.fastpath.receive_scheduler import TURN_SECONDS, ReceiveScheduler

PACKETS = 1000


class TickingClock:
    """A clock that moves at each look, as if every packet took a tenth of a turn."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += TURN_SECONDS / 10
        return self.now


def in_turns() -> Established:
    """Return an established connection whose turns end."""
    client = Established()
    client.transport.scheduler = ReceiveScheduler(client.loop, TickingClock())
    return client


def flood(client: Established, count: int = PACKETS) -> bytes:
    return b"".join(client.peer.packet(MSG_IGNORE, String(b"")) for _ in range(count))


def test_a_flood_is_processed_a_few_packets_at_a_time() -> None:
    client = in_turns()

    client.transport.data_received(flood(client))

    assert client.transport._recv_seq < 20
    assert client.transport._is_reading_paused
    client.loop.run()
    assert client.transport._recv_seq == PACKETS
    assert not client.transport._is_reading_paused


def test_data_behind_a_flood_arrives_in_order() -> None:
    client = in_turns()
    client.open()
    pieces = [b"%d" % number for number in range(100)]
    stream = flood(client, 50) + b"".join(client.peer.data(piece) for piece in pieces)

    for start in range(0, len(stream), 77):
        client.transport.data_received(stream[start : start + 77])
    client.loop.run()

    assert client.sessions[0].received == b"".join(pieces)


def test_another_cipher_is_processed_in_turns_as_well() -> None:
    """Packets of ciphers that have no fast path are parsed by asyncssh."""
    client = in_turns()
    chacha = b"chacha20-poly1305@openssh.com"
    client.transport._recv_encryption = get_encryption(chacha, bytes(64), b"")
    client.transport._recv_blocksize, client.transport._recv_macsize = 8, 16
    sender = get_encryption(chacha, bytes(64), b"")
    stream = b""
    for number in range(100):
        payload = bytes([MSG_IGNORE]) + String(b"")
        plain = bytes([10]) + payload + bytes(10)
        header = len(plain).to_bytes(4)
        packet, mac = sender.encrypt_packet(number, header, plain)
        stream += packet + mac

    client.transport.data_received(stream)

    assert 0 < client.transport._recv_seq < 20
    client.loop.run()
    assert client.transport._recv_seq == 100


def test_nothing_is_read_while_a_request_is_being_answered() -> None:
    client = in_turns()
    client.transport.scheduler = ReceiveScheduler(client.loop, lambda: 0.0)
    answered = asyncio.Event()

    def process(number: int, *_: object) -> Any:
        return answered.wait() if number == MSG_GLOBAL_REQUEST else True

    async def run() -> None:
        client.transport.process_packet = process
        client.transport.data_received(client.peer.packet(MSG_GLOBAL_REQUEST))
        assert not client.transport._is_reading_paused
        client.transport.data_received(flood(client))
        assert client.transport._is_reading_paused
        assert client.transport._recv_seq == 0
        answered.set()
        await asyncio.gather(*client.transport._tasks)
        client.loop.run()

    asyncio.run(run())

    assert client.transport._recv_seq == PACKETS + 1
    assert not client.transport._is_reading_paused


def test_an_eof_waits_for_the_data_in_front_of_it() -> None:
    client = in_turns()
    client.open()
    client.transport.data_received(flood(client) + client.peer.data(b"last"))

    assert client.transport.eof_received()
    client.loop.run()

    assert client.sessions[0].received == b"last"
    assert "Connection lost" in client.state.ended


@pytest.mark.parametrize(
    ("end", "reported"),
    [
        pytest.param(ConnectionResetError(), "ConnectionResetError", id="reset"),
        pytest.param(None, "Connection lost", id="closed channel of a jump host"),
        pytest.param(asyncssh.ConnectionLost("jump"), "jump", id="lost jump host"),
    ],
)
def test_what_arrived_before_the_end_is_processed(end: Exception | None, reported: str) -> None:
    client = in_turns()
    client.open()
    client.transport.data_received(flood(client, 10) + client.peer.data(b"last"))

    client.transport.connection_lost(end)
    client.loop.run()

    assert client.sessions[0].received == b"last"
    assert reported in client.state.ended


@pytest.mark.parametrize("count", [1, 500])
def test_nothing_is_processed_after_the_end(count: int) -> None:
    client = in_turns()
    client.open()
    client.transport.data_received(flood(client, count) + client.peer.data(b"late"))
    client.transport._force_close(asyncssh.ConnectionLost("over"))
    received = client.sessions[0].received

    client.loop.run()

    assert client.sessions[0].received == received


def test_after_many_messages_that_ask_for_nothing_the_next_packet_waits() -> None:
    transport = Established().transport
    transport.scheduler = ReceiveScheduler(transport._loop, lambda: 0.0)

    def process(number: int) -> Any:
        return transport.process_packet(MSG_IGNORE, number, SSHPacket(String(b"")))

    assert all(process(number) is True for number in range(PADDING_BURST))
    wait = process(PADDING_BURST)
    assert asyncio.iscoroutine(wait)
    wait.close()
