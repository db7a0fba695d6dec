"""Receiving on the fast path has the same result as in asyncssh, however reads are split."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from asyncssh.channel import SSHTCPChannel
from asyncssh.constants import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_GLOBAL_REQUEST,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
)
from asyncssh.packet import Boolean, Byte, String, UInt32

from tests.forwarding.services import blob
from tests.ssh.established import PACKET, WINDOW, Established, Session, compare_paths
from tunnelkeeper.ssh.fastpath import connection
from tunnelkeeper.ssh.fastpath.connection import MIN_VIEW_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (1, 6, 7, 40, 100)
PIECES = [blob(size) for size in SIZES]


def stream(client: Established, channel: int = 0) -> bytes:
    """Return consecutive data packets, as servers other than asyncssh send them."""
    return b"".join(client.peer.data(piece, channel) for piece in PIECES)


# Packets and reads


def test_each_packet_of_a_read_reaches_its_channel() -> None:
    def scenario(client: Established) -> None:
        for _ in range(2):
            client.open()
        client.receive(
            client.peer.data(b"one", 0)
            + client.peer.data(b"two", 1)
            + client.peer.data(b"three", 0)
        )

    result = compare_paths(scenario)

    assert [session.events for session in result.sessions] == [[b"one", b"three"], [b"two"]]
    assert result.counts == (0, 3)


def test_a_read_may_end_at_any_byte_of_a_packet() -> None:
    def cut_at(end: int) -> Established:
        def scenario(client: Established) -> None:
            client.open()
            whole = stream(client)
            client.receive(whole[:end], whole[end:])

        return compare_paths(scenario)

    uncut = cut_at(0)
    for end in range(len(stream(Established()))):
        result = cut_at(end)
        assert result.counts == (0, len(PIECES))
        assert result.state == uncut.state


def test_packets_may_arrive_byte_by_byte() -> None:
    def scenario(client: Established) -> None:
        client.open()
        client.receive(*(bytes([byte]) for byte in stream(client)))

    result = compare_paths(scenario)

    assert result.sessions[0].events == PIECES
    assert result.counts == (0, len(PIECES))


def test_a_large_packet_may_span_many_reads() -> None:
    data = blob(PACKET)

    def scenario(client: Established) -> None:
        client.open()
        sealed = client.peer.data(data) + client.peer.data(b"next")
        client.receive(*(sealed[at : at + 1460] for at in range(0, len(sealed), 1460)))

    result = compare_paths(scenario)

    assert result.sessions[0].events == [data, b"next"]
    assert result.counts == (0, 2)


def test_other_packets_are_left_to_asyncssh_in_order() -> None:
    def scenario(client: Established) -> None:
        client.open(window=0).write(b"kept")
        request = String(b"what@example.com") + Boolean(True)
        client.receive(
            client.peer.data(b"one")
            + client.peer.packet(MSG_GLOBAL_REQUEST, request)
            + client.peer.data(b"two")
            + client.peer.adjust(4)
            + client.peer.data(b"three")
        )

    result = compare_paths(scenario)

    assert [payload for payload, _ in result.sent] == [
        Byte(MSG_REQUEST_FAILURE),
        Byte(MSG_CHANNEL_DATA) + UInt32(0) + String(b"kept"),
    ]
    assert result.sessions[0].events == [b"one", b"two", b"three"]
    assert result.counts == (1, 4)


def test_replies_to_global_requests_keep_their_order_among_data() -> None:
    def scenario(client: Established) -> None:
        client.open()
        waiters = [asyncio.Future[Any](loop=asyncio.new_event_loop()) for _ in range(2)]
        client.transport._global_request_waiters = list(waiters)
        for waiter in waiters:
            waiter.get_loop().close()
        client.receive(
            client.peer.data(b"one")
            + client.peer.packet(MSG_REQUEST_FAILURE)
            + client.peer.data(b"two")
            + client.peer.packet(MSG_REQUEST_SUCCESS, UInt32(7))
            + client.peer.data(b"three")
        )
        assert [waiter.result()[0] for waiter in waiters] == [
            MSG_REQUEST_FAILURE,
            MSG_REQUEST_SUCCESS,
        ]

    result = compare_paths(scenario)

    assert result.sessions[0].events == [b"one", b"two", b"three"]
    assert result.counts == (0, 5)


def test_an_unexpected_reply_ends_the_connection() -> None:
    def scenario(client: Established) -> None:
        client.open()
        client.receive(client.peer.data(b"one") + client.peer.packet(MSG_REQUEST_FAILURE))

    assert "Unexpected global response" in compare_paths(scenario).state.ended


def test_packets_wait_for_one_that_is_processed_in_a_task() -> None:
    """Some packets are handled by asyncssh in a task, for example a key exchange."""

    def scenario(client: Established) -> None:
        async def slowly() -> None:
            client.open()

        def process(number: int, *_: object) -> Any:
            return slowly() if number == MSG_GLOBAL_REQUEST else True

        async def run() -> None:
            client.transport.process_packet = process
            sealed = client.peer.packet(MSG_GLOBAL_REQUEST) + stream(client)
            client.receive(sealed[:40], sealed[40:-1])
            assert not client.sessions
            await asyncio.gather(*client.transport._tasks)
            client.receive(sealed[-1:], stream(client))

        asyncio.run(run())

    result = compare_paths(scenario)

    assert result.sessions[0].events == PIECES * 2
    assert result.counts == (0, len(PIECES) * 2)


def test_the_sequence_number_wraps_around() -> None:
    def scenario(client: Established) -> None:
        client.transport._recv_seq = 0xFFFFFFFE
        client.open()
        client.receive(stream(client))

    assert compare_paths(scenario).state.received == (3, 7523661662112280180)


# Received data


@pytest.mark.parametrize("size", [0, 1, MIN_VIEW_BYTES - 1, MIN_VIEW_BYTES, PACKET])
def test_data_of_any_size_is_received(size: int) -> None:
    def scenario(client: Established) -> None:
        client.open()
        client.receive(client.peer.data(blob(size)), client.peer.data(b"next"))

    result = compare_paths(scenario)

    assert result.sessions[0].received == blob(size) + b"next"
    assert result.counts == (0, 2 if size else 1)


def test_small_queued_data_is_copied_and_holds_no_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A window may be full of one-byte packets, and each view would take 400 times as much."""
    monkeypatch.setattr(connection, "ENABLED", True)
    client = Established()
    channel = client.open()
    channel.pause_reading()
    client.receive(client.peer.data(b"x"), client.peer.data(bytes(MIN_VIEW_BYTES)))

    assert [type(data) for data, _ in channel._recv_buf] == [bytearray, memoryview]


def test_single_bytes_are_joined_in_the_queue_and_delivered_in_order() -> None:
    data = blob(1000)

    def scenario(client: Established) -> None:
        channel = client.open(receives=WINDOW)
        channel.pause_reading()
        client.receive(*(client.peer.data(data[at : at + 1]) for at in range(len(data))))
        assert len(channel._recv_buf) == 1
        assert channel._recv_window == WINDOW - len(data)
        channel.resume_reading()

    [session] = compare_paths(scenario).sessions
    assert session.events == [data]


def test_single_bytes_are_joined_while_the_peer_gives_no_window() -> None:
    data = blob(1000)

    def scenario(client: Established) -> None:
        channel = client.open(window=0)
        for at in range(len(data)):
            channel.write(data[at : at + 1])
        assert len(channel._send_buf) == 1
        client.receive(client.peer.adjust(WINDOW))

    assert b"".join(compare_paths(scenario).sent_data) == data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_nested_connection_receives_any_buffer_type(
    kind: Callable[[bytes], Any],
) -> None:
    def scenario(client: Established) -> None:
        client.open()
        whole = stream(client)
        for part in (whole[:50], whole[50:250], whole[250:]):
            client.receive(kind(part))

    result = compare_paths(scenario)

    assert result.sessions[0].events == PIECES
    assert result.counts == (0, len(PIECES))


def test_extended_data_is_left_to_asyncssh() -> None:
    def scenario(client: Established) -> None:
        client.open()._read_datatypes = {1}
        extended = UInt32(0) + UInt32(1) + String(b"a warning")
        client.receive(stream(client) + client.peer.packet(MSG_CHANNEL_EXTENDED_DATA, extended))

    assert compare_paths(scenario).sessions[0].events == [*PIECES, (b"a warning", 1)]


def test_channels_of_other_classes_are_left_to_asyncssh() -> None:
    def scenario(client: Established) -> None:
        channel: Any = SSHTCPChannel(client.transport, client.loop, None, "strict", WINDOW, 1)
        client.adopt(channel, Session(), WINDOW, 100)
        client.receive(stream(client))
        channel.write(bytes(250))

    result = compare_paths(scenario)

    assert result.sessions[0].events == PIECES
    assert result.counts == (0, 0)


# Windows and readers


@pytest.mark.parametrize("window", [1, 2, 7, 100])
def test_window_credit_is_sent_at_the_same_bytes(window: int) -> None:
    def scenario(client: Established) -> None:
        channel = client.open(receives=window)
        for request in (1, window // 2, window // 2, 1, window, window, window - 1, window):
            client.receive(client.peer.data(blob(min(request, channel._recv_window))))

    result = compare_paths(scenario)

    assert {payload[0] for payload, _ in result.sent} == {MSG_CHANNEL_WINDOW_ADJUST}
    assert result.state.ended == ""


def test_data_for_a_paused_reader_is_queued_without_credit() -> None:
    def scenario(client: Established) -> None:
        channel = client.open(receives=sum(SIZES))
        channel.pause_reading()
        client.receive(stream(client))
        assert channel._recv_window == 0
        assert client.sessions[0].events == []
        channel.resume_reading()

    result = compare_paths(scenario)

    assert result.sessions[0].received == b"".join(PIECES)
    assert result.counts == (0, len(PIECES))


def test_a_reader_that_pauses_gets_no_more_of_the_same_read() -> None:
    class PausingSession(Session):
        def data_received(self, data: bytes, datatype: Any = None) -> None:
            super().data_received(data, datatype)
            self.channel.pause_reading()

    def scenario(client: Established) -> None:
        client.open(PausingSession())
        client.receive(stream(client))

    assert compare_paths(scenario).sessions[0].events == PIECES[:1]


def test_a_session_may_write_while_it_receives() -> None:
    class Echo(Session):
        def data_received(self, data: bytes, datatype: Any = None) -> None:
            super().data_received(data, datatype)
            self.channel.write(data)

    def scenario(client: Established) -> None:
        client.open(Echo(), window=100)
        client.receive(stream(client) + client.peer.adjust(WINDOW))

    result = compare_paths(scenario)

    assert b"".join(payload[9:] for payload, _ in result.sent) == b"".join(PIECES)
    assert result.counts == (len(result.sent), len(PIECES) + 1)


def test_data_for_a_locally_closed_channel_is_dropped() -> None:
    def scenario(client: Established) -> None:
        client.open().abort()
        client.receive(stream(client))

    result = compare_paths(scenario)

    assert result.sessions[0].events == []
    assert result.state.ended == ""


def test_packets_before_the_end_of_the_login_are_left_to_asyncssh() -> None:
    def scenario(client: Established) -> None:
        client.transport._auth_final = False
        client.open()
        client.receive(stream(client))

    result = compare_paths(scenario)

    assert result.sessions[0].events == PIECES
    assert result.counts == (
        0,
        len(PIECES) - 1,
    )  # asyncssh treats the first one as the end of the login
