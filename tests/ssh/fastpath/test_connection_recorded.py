"""A stream with all kinds of packets, sealed by a real server and split at every byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from asyncssh.constants import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_DEBUG,
    MSG_GLOBAL_REQUEST,
)
from asyncssh.packet import Boolean, String, UInt32

from tests.forwarding.services import blob
from tests.ssh.established import ConnectionState, Established, compare_paths
from tests.ssh.peer import Keys
from tests.ssh.server import connected
from tunnelkeeper.ssh.fastpath import connection

if TYPE_CHECKING:
    from tests.ssh.server import Server

UNKNOWN_MESSAGE = 200

PACKETS: list[tuple[int, bytes]] = [
    (MSG_CHANNEL_DATA, UInt32(0) + String(b"first")),
    (MSG_CHANNEL_DATA, UInt32(1) + String(b"of another channel")),
    (MSG_GLOBAL_REQUEST, String(b"keepalive@openssh.com") + Boolean(True)),
    (MSG_CHANNEL_WINDOW_ADJUST, UInt32(0) + UInt32(300)),
    (MSG_CHANNEL_DATA, UInt32(0) + String(b"")),
    (MSG_CHANNEL_EXTENDED_DATA, UInt32(1) + UInt32(1) + String(b"a warning")),
    (MSG_CHANNEL_REQUEST, UInt32(1) + String(b"keepalive@openssh.com") + Boolean(True)),
    (MSG_DEBUG, Boolean(False) + String(b"a remark") + String(b"")),
    (MSG_CHANNEL_DATA, UInt32(0) + String(blob(100))),
    (UNKNOWN_MESSAGE, b"what?"),
    (MSG_CHANNEL_DATA, UInt32(0) + String(b"last")),
    (MSG_CHANNEL_EOF, UInt32(0)),
    (MSG_CHANNEL_WINDOW_ADJUST, UInt32(0) + UInt32(1000)),
    (MSG_CHANNEL_CLOSE, UInt32(0)),
    (MSG_CHANNEL_DATA, UInt32(1) + String(b"more data")),
    (MSG_CHANNEL_DATA, UInt32(7) + String(b"whose?")),
]


@dataclass(frozen=True, slots=True)
class Recording:
    """Packets that a server sent, and the keys they are sealed with."""

    keys: Keys
    stream: bytes


@pytest.fixture
async def recording(server: Server, monkeypatch: pytest.MonkeyPatch) -> Recording:
    """Return the packets, with the empty MSG_IGNORE that asyncssh sends before most of them."""
    monkeypatch.setattr(connection, "ENABLED", False)
    async with connected(server.host(ciphers="aes128-gcm@openssh.com")):
        (server_connection,) = server.connections
        encryption: Any = server_connection._send_encryption
        keys = Keys(encryption._cipher._key, encryption._cipher._iv)
        stream = bytearray()
        monkeypatch.setattr(server_connection, "_send", stream.extend)
        for number, fields in PACKETS:
            server_connection.send_packet(number, fields)
        assert not server_connection._deferred_packets
    return Recording(keys, bytes(stream))


def replay(recording: Recording, client: Established, *cuts: int) -> None:
    """Receive the stream on a connection with two channels, split at the given offsets."""
    client.open(window=10).write(blob(500))
    client.open()._read_datatypes = {1}
    ends = [*cuts, len(recording.stream)]
    for start, end in zip([0, *cuts], ends, strict=True):
        client.receive(recording.stream[start:end])


def session_events(state: ConnectionState) -> list[object]:
    return [channel[-1] for channel in state.channels]


async def test_the_stream_is_received_correctly(recording: Recording) -> None:
    result = compare_paths(lambda client: replay(recording, client), theirs=recording.keys)

    lost = "lost: ProtocolError('Invalid channel number 7 received')"
    assert session_events(result.state) == [
        [b"first", blob(100), b"last", "eof", "lost: None"],
        [b"of another channel", (b"a warning", 1), b"more data", lost],
    ]
    assert result.counts == (3, 9)


async def test_the_stream_may_be_split_at_any_byte(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = compare_paths(lambda client: replay(recording, client), theirs=recording.keys).state
    monkeypatch.setattr(connection, "ENABLED", True)
    for cut in range(1, len(recording.stream)):
        client = Established(theirs=recording.keys)
        replay(recording, client, cut)
        assert client.state == expected, cut


@pytest.mark.parametrize("step", [1, 2, 3, 15, 16, 17, 36, 100])
async def test_the_stream_may_arrive_in_reads_of_any_size(recording: Recording, step: int) -> None:
    expected = compare_paths(lambda client: replay(recording, client), theirs=recording.keys).state
    cuts = range(step, len(recording.stream), step)

    result = compare_paths(lambda client: replay(recording, client, *cuts), theirs=recording.keys)

    assert result.state == expected
