"""Errors that end a connection end it on the fast path as in asyncssh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh.constants import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_DISCONNECT,
)
from asyncssh.packet import Byte, String, UInt32

from tests.forwarding.services import blob
from tests.ssh.established import PACKET, Established, Session, compare_paths
from tunnelkeeper.ssh.fastpath.aes_gcm import TAG_BYTES
from tunnelkeeper.ssh.fastpath.connection import LENGTH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ssh.peer import Peer

MAC_ERROR = "MACError('MAC verification failed')"
NOT_OPEN = "ProtocolError('Channel not open for sending')"
NO_SUCH_CHANNEL = "ProtocolError('Invalid channel number 7 received')"
TOO_LONG = "ProtocolError('Max packet size exceeded')"
WINDOW_EXCEEDED = "ProtocolError('Window exceeded')"

DATA = Byte(MSG_CHANNEL_DATA) + UInt32(0)
"""The start of a data payload for channel 0."""


def receive_between(
    stream_of: Callable[[Peer], bytes], session: type[Session] = Session
) -> Established:
    """Return a connection that received the given packets between two data packets."""

    def scenario(client: Established) -> None:
        client.open(session())
        client.receive(
            client.peer.data(b"before") + stream_of(client.peer) + client.peer.data(b"after")
        )

    return compare_paths(scenario)


# Tampering


def test_a_flipped_bit_anywhere_ends_the_connection() -> None:
    """A flipped bit of the length may yield a packet that is incomplete or too long."""
    texts = [b"eighteen bytes %03d" % number for number in range(3)]
    sealed = LENGTH_BYTES + 32 + TAG_BYTES

    def receive_flipped(position: int) -> Established:
        def scenario(client: Established) -> None:
            client.open()
            stream = bytearray(b"".join(map(client.peer.data, texts)))
            assert len(stream) == len(texts) * sealed
            stream[position] ^= 1 << position % 8
            client.receive(bytes(stream))

        return compare_paths(scenario)

    for position in range(len(texts) * sealed):
        result = receive_flipped(position)
        whole, offset = divmod(position, sealed)
        assert result.sessions[0].received == b"".join(texts[:whole])
        assert result.state.ended in (
            {MAC_ERROR, TOO_LONG, ""} if offset < LENGTH_BYTES else {MAC_ERROR}
        )


def test_a_replayed_packet_ends_the_connection() -> None:
    def scenario(client: Established) -> None:
        client.open()
        client.receive(client.peer.data(b"once") * 2)

    result = compare_paths(scenario)

    assert result.state.ended == MAC_ERROR
    assert result.sessions[0].received == b"once"


# Lengths


def longest_data(client: Established) -> bytes:
    """Return the data of the longest accepted packet."""
    return blob(client.transport._max_recv_pktlen - 10 - 6)


@pytest.mark.parametrize("cut", [3, 4, 15, 16, 1000, -16, -1])
def test_the_longest_packet_is_accepted_however_it_is_split(cut: int) -> None:
    def scenario(client: Established) -> None:
        client.open()
        sealed = client.peer.data(longest_data(client))
        client.receive(sealed[:cut], sealed[cut:])

    result = compare_paths(scenario)

    assert result.sessions[0].received == longest_data(result)
    assert result.counts == (0, 1)


@pytest.mark.parametrize("cut", [4, 15, 16, 1000, 1 << 20])
def test_a_longer_packet_ends_the_connection_as_soon_as_its_length_is_known(cut: int) -> None:
    def scenario(client: Established) -> None:
        client.open()
        client.receive(client.peer.data(longest_data(client) + bytes(3))[:cut])

    assert compare_paths(scenario).state.ended == (TOO_LONG if cut >= 16 else "")


# Malformed packets


@pytest.mark.parametrize(
    ("plain", "error"),
    [
        (b"", MAC_ERROR),  # as asyncssh treats an empty packet
        (Byte(4), "PacketDecodeError('Incomplete packet')"),
        (Byte(0) + DATA + String(b"data"), "PacketDecodeError('Incomplete packet')"),
        (Byte(4) + DATA[:1] + bytes(4), "ProtocolError('Incomplete channel request received')"),
        (Byte(4) + DATA + bytes(4), "ProtocolError('Incomplete packet')"),
        (Byte(4) + DATA + UInt32(5) + b"data" + bytes(4), "ProtocolError('Incomplete packet')"),
        (
            Byte(4) + DATA + UInt32(3) + b"data" + bytes(4),
            "ProtocolError('Unexpected data at end of packet')",
        ),
        (Byte(200) + DATA + String(b"data") + bytes(4), "PacketDecodeError('Incomplete packet')"),
    ],
    ids=[
        "nothing",
        "only the length of the padding",
        "no padding",
        "no channel",
        "no data",
        "data too short",
        "data too long",
        "padding longer than the packet",
    ],
)
def test_a_malformed_packet_ends_the_connection(plain: bytes, error: str) -> None:
    def scenario(client: Established) -> None:
        client.open()
        client.receive(client.peer.data(b"before") + client.peer.seal(plain))

    result = compare_paths(scenario)

    assert result.state.ended == error
    assert result.counts == (0, 1)


@pytest.mark.parametrize("padding", [1, 3, 255])
def test_any_padding_is_accepted(padding: int) -> None:
    plain = Byte(padding) + DATA + String(b"data") + bytes(padding)
    result = receive_between(lambda peer: peer.seal(plain))

    assert result.sessions[0].events == [b"before", b"data", b"after"]
    assert result.counts == (0, 3)


# Out of order


@pytest.mark.parametrize(
    ("size", "error"), [(94, ""), (95, WINDOW_EXCEEDED), (PACKET, WINDOW_EXCEEDED)]
)
def test_data_beyond_the_window_ends_the_connection(size: int, error: str) -> None:
    def scenario(client: Established) -> None:
        client.open(receives=100).pause_reading()
        client.receive(client.peer.data(b"before") + client.peer.data(blob(size)))

    assert compare_paths(scenario).state.ended == error


@pytest.mark.parametrize("state", ["eof_pending", "eof", "close_pending", "closed"])
def test_data_for_a_channel_that_the_peer_has_closed_ends_the_connection(state: str) -> None:
    def scenario(client: Established) -> None:
        client.open()._recv_state = state
        client.receive(client.peer.data(b"late"))

    result = compare_paths(scenario)

    assert result.state.ended == NOT_OPEN
    assert [payload[0] for payload, _ in result.sent] == [MSG_DISCONNECT]


def test_data_after_eof_ends_the_connection() -> None:
    result = receive_between(lambda peer: peer.packet(MSG_CHANNEL_EOF, UInt32(0)))

    assert result.sessions[0].events[:2] == [b"before", "eof"]
    assert result.state.ended == NOT_OPEN


def test_data_for_an_unknown_channel_ends_the_connection() -> None:
    result = receive_between(lambda peer: peer.data(b"whose?", 7))

    assert result.sessions[0].received == b"before"
    assert result.state.ended == NO_SUCH_CHANNEL


def test_unexpected_extended_data_ends_the_connection() -> None:
    fields = UInt32(0) + UInt32(1) + String(b"a warning")
    result = receive_between(lambda peer: peer.packet(MSG_CHANNEL_EXTENDED_DATA, fields))

    assert result.state.ended == "ProtocolError('Invalid extended data type')"


# Faulty sessions


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a fault"),
        asyncssh.ProtocolError("the session's own"),
        asyncssh.ConnectionLost("x"),
    ],
    ids=["any", "of the protocol", "of the connection"],
)
def test_a_session_that_raises_ends_the_connection(error: Exception) -> None:
    class FaultySession(Session):
        def data_received(self, data: bytes, datatype: Any = None) -> None:
            super().data_received(data, datatype)
            if data == b"now":
                raise error

    result = receive_between(lambda peer: peer.data(b"now"), session=FaultySession)

    assert result.sessions[0].received == b"beforenow"
    assert result.state.ended == repr(error)


def test_a_session_that_closes_the_connection_gets_the_rest_of_the_read() -> None:
    class AbortingSession(Session):
        connection: Any = None

        def data_received(self, data: bytes, datatype: Any = None) -> None:
            super().data_received(data, datatype)
            self.connection.abort()

    def scenario(client: Established) -> None:
        session = AbortingSession()
        session.connection = client.transport
        client.open(session)
        client.receive(client.peer.data(b"one") + client.peer.data(b"two"))

    assert compare_paths(scenario).sessions[0].received == b"onetwo"
