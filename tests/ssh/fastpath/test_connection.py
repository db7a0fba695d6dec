"""The fast path sends the same packets as asyncssh."""

from __future__ import annotations

import pytest
from asyncssh.constants import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_IGNORE,
    MSG_KEXINIT,
)
from asyncssh.encryption import get_encryption
from asyncssh.packet import Byte, String, UInt32

from tests.forwarding.services import MEGABYTE, blob
from tests.ssh.established import PACKET, WINDOW, Established, Session, compare_paths

# Packets and windows


@pytest.mark.parametrize("size", [1, 2, 6, 7, 8, 15, 16, 17, 1000, PACKET - 1, PACKET])
def test_a_packet_is_padded_as_specified(size: int) -> None:
    """RFC 4253 section 6 and RFC 5647 section 7.2: the length field is not counted."""
    result = compare_paths(lambda client: client.open().write(bytes(size)))

    ((payload, length),) = result.sent
    assert payload == Byte(MSG_CHANNEL_DATA) + UInt32(0) + String(bytes(size))
    assert length % 16 == 0
    assert 4 <= length - 1 - len(payload) < 20
    assert result.counts == (1, 0)


@pytest.mark.parametrize(
    ("window", "packet", "size"),
    [
        (WINDOW, PACKET, 3 * PACKET + 5),
        (WINDOW, 1, 300),
        (1, PACKET, 5),
        (1, 1, 5),
        (100, PACKET, 100),
        (100, PACKET, 99),
        (100, PACKET, 101),
        (100, 100, 100),
        (100, 33, 250),
        (PACKET, PACKET, PACKET + 1),
        (PACKET - 1, PACKET, PACKET),
        (0, PACKET, 10),
    ],
)
def test_exactly_the_send_window_is_used(window: int, packet: int, size: int) -> None:
    data = blob(size)
    result = compare_paths(lambda client: client.open(window=window, packet=packet).write(data))

    assert b"".join(result.sent_data) == data[:window]
    assert all(len(piece) <= packet for piece in result.sent_data)
    assert result.counts == (len(result.sent_data), 0)


@pytest.mark.parametrize("packet", [1, 30, PACKET])
def test_buffered_data_is_sent_as_the_window_allows(packet: int) -> None:
    data = blob(1000)

    def scenario(client: Established) -> None:
        channel = client.open(window=100, packet=packet)
        channel.write(data[:400])
        client.receive(client.peer.adjust(1), client.peer.adjust(49))
        channel.write(data[400:])
        client.receive(client.peer.adjust(0), client.peer.adjust(250), client.peer.adjust(WINDOW))

    result = compare_paths(scenario)

    assert b"".join(result.sent_data) == data
    assert result.counts == (len(result.sent_data), 5)


def test_each_channel_has_its_own_window() -> None:
    def scenario(client: Established) -> None:
        narrow, wide = client.open(window=5), client.open()
        narrow.write(b"narrow window")
        wide.write(b"wide window")
        client.receive(client.peer.adjust(1, channel=0))

    assert compare_paths(scenario).sent_data == [b"narro", b"wide window", b"w"]


def test_writers_are_paused_and_resumed_at_the_same_limits() -> None:
    def scenario(client: Established) -> None:
        session = Session()
        channel = client.open(session, window=0)
        channel.write(bytes(65536))
        assert session.events == []
        channel.write(bytes(1))
        assert session.events == ["pause"]
        client.receive(client.peer.adjust(49152))
        assert session.events == ["pause"]
        client.receive(client.peer.adjust(1))
        assert session.events == ["pause", "resume"]
        channel.write(bytes(MEGABYTE))
        client.receive(client.peer.adjust(WINDOW))
        assert session.events == ["pause", "resume"] * 2

    compare_paths(scenario)


def test_a_write_within_the_window_does_not_pause_the_writer() -> None:
    result = compare_paths(lambda client: client.open().write(bytes(MEGABYTE)))

    assert result.sessions[0].events == []


def test_data_written_in_resume_writing_follows_buffered_data() -> None:
    class Eager(Session):
        def resume_writing(self) -> None:
            self.channel.write(b"last")

    def scenario(client: Established) -> None:
        client.open(Eager(), window=0).write(b"a" * 70_000)
        client.receive(client.peer.adjust(60_000), client.peer.adjust(60_000))

    assert b"".join(compare_paths(scenario).sent_data) == b"a" * 70_000 + b"last"


# Key exchanges


def test_a_key_exchange_starts_at_the_same_packet_and_defers_the_rest() -> None:
    def scenario(client: Established) -> None:
        client.transport._rekey_bytes = 3000
        channel = client.open(window=8000, packet=1000)
        channel.write(blob(10_000))
        channel.write(b"behind it")
        channel.write_eof()
        client.receive(client.peer.adjust(500), client.peer.adjust(PACKET))

    result = compare_paths(scenario)

    assert result.sent_numbers == [MSG_CHANNEL_DATA] * 3 + [MSG_KEXINIT]
    later = [payload[9:] for payload in result.state.deferred if payload[0] == MSG_CHANNEL_DATA]
    assert b"".join(result.sent_data + later) == blob(10_000) + b"behind it"
    assert result.state.deferred[-1][0] == MSG_CHANNEL_EOF


def test_a_key_exchange_may_start_within_buffered_data() -> None:
    def scenario(client: Established) -> None:
        client.transport._rekey_bytes = 3000
        client.open(window=0, packet=1000).write(blob(10_000))
        client.receive(client.peer.adjust(7000))

    assert compare_paths(scenario).sent_numbers == [MSG_CHANNEL_DATA] * 3 + [MSG_KEXINIT]


@pytest.mark.parametrize(("limit", "begins"), [(96, True), (97, False)])
def test_a_key_exchange_starts_exactly_at_its_byte_limit(limit: int, begins: bool) -> None:
    def scenario(client: Established) -> None:
        client.transport._rekey_bytes = limit
        client.open(packet=20).write(bytes(60))  # each packet has 48 bytes

    assert (MSG_KEXINIT in compare_paths(scenario).sent_numbers) == begins


def test_a_key_exchange_starts_at_its_time_limit() -> None:
    def scenario(client: Established) -> None:
        channel = client.open()
        channel.write(b"before")
        client.transport._rekey_time = 0
        channel.write(b"after")

    result = compare_paths(scenario)

    assert result.sent_numbers == [MSG_CHANNEL_DATA, MSG_KEXINIT]
    assert len(result.state.deferred) == 1


@pytest.mark.parametrize("condition", ["_kex_complete", "_auth_complete"])
def test_deferred_data_is_sent_in_order_later(condition: str) -> None:
    def scenario(client: Established) -> None:
        channel = client.open(packet=100)
        setattr(client.transport, condition, False)
        channel.write(blob(250))
        assert client.sent == []
        setattr(client.transport, condition, True)
        client.transport._send_deferred_packets()
        channel.write(b"behind it")

    result = compare_paths(scenario)

    assert result.sent_data == [blob(250)[:100], blob(250)[100:200], blob(250)[200:], b"behind it"]
    assert result.counts == (1, 0)


# Sequence numbers


def test_the_sequence_number_wraps_around() -> None:
    def scenario(client: Established) -> None:
        client.transport._send_seq = 0xFFFFFFFE
        channel = client.open()
        for _ in range(3):
            channel.write(b"x")

    assert compare_paths(scenario).state.send_seq == 1


# The empty MSG_IGNORE


def test_only_the_empty_ignore_is_omitted() -> None:
    def scenario(client: Established) -> None:
        for text in (b"", b"x"):
            client.transport.send_packet(MSG_IGNORE, String(text))

    assert [sent for sent, _ in compare_paths(scenario).sent] == [Byte(MSG_IGNORE) + String(b"x")]


@pytest.mark.parametrize(
    ("cipher", "key_size"), [(b"chacha20-poly1305@openssh.com", 64), (b"aes128-cbc", 16)]
)
def test_the_empty_ignore_is_sent_with_other_ciphers(cipher: bytes, key_size: int) -> None:
    client = Established()
    client.transport._send_encryption = get_encryption(
        cipher, bytes(key_size), bytes(16), b"hmac-sha2-256", bytes(32)
    )
    client.open().write(b"data")

    assert len(client.wire.sent) == 2
    assert client.transport._send_seq == 2
    assert client.counts == (0, 0)
