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


def stream(here: Established, channel: int = 0) -> bytes:
    """Return consecutive data packets, as servers other than asyncssh send them."""
    return b"".join(here.peer.data(piece, channel) for piece in PIECES)


# Packets and reads


def test_each_packet_of_a_read_reaches_its_channel() -> None:
    def scenario(here: Established) -> None:
        for _ in range(2):
            here.open()
        here.receive(
            here.peer.data(b"one", 0) + here.peer.data(b"two", 1) + here.peer.data(b"three", 0)
        )

    result = compare_paths(scenario)

    assert [session.heard for session in result.sessions] == [[b"one", b"three"], [b"two"]]
    assert result.counts == (0, 3)


def test_a_read_may_end_at_any_byte_of_a_packet() -> None:
    def cut_at(end: int) -> Established:
        def scenario(here: Established) -> None:
            here.open()
            whole = stream(here)
            here.receive(whole[:end], whole[end:])

        return compare_paths(scenario)

    uncut = cut_at(0)
    for end in range(len(stream(Established()))):
        result = cut_at(end)
        assert result.counts == (0, len(PIECES))
        assert result.state == uncut.state


def test_packets_may_arrive_byte_by_byte() -> None:
    def scenario(here: Established) -> None:
        here.open()
        here.receive(*(bytes([byte]) for byte in stream(here)))

    result = compare_paths(scenario)

    assert result.sessions[0].heard == PIECES
    assert result.counts == (0, len(PIECES))


def test_a_large_packet_may_span_many_reads() -> None:
    data = blob(PACKET)

    def scenario(here: Established) -> None:
        here.open()
        sealed = here.peer.data(data) + here.peer.data(b"next")
        here.receive(*(sealed[at : at + 1460] for at in range(0, len(sealed), 1460)))

    result = compare_paths(scenario)

    assert result.sessions[0].heard == [data, b"next"]
    assert result.counts == (0, 2)


def test_other_packets_are_left_to_asyncssh_in_order() -> None:
    def scenario(here: Established) -> None:
        here.open(window=0).write(b"kept")
        request = String(b"what@example.com") + Boolean(True)
        here.receive(
            here.peer.data(b"one")
            + here.peer.packet(MSG_GLOBAL_REQUEST, request)
            + here.peer.data(b"two")
            + here.peer.adjust(4)
            + here.peer.data(b"three")
        )

    result = compare_paths(scenario)

    assert [payload for payload, _ in result.sent] == [
        Byte(MSG_REQUEST_FAILURE),
        Byte(MSG_CHANNEL_DATA) + UInt32(0) + String(b"kept"),
    ]
    assert result.sessions[0].heard == [b"one", b"two", b"three"]
    assert result.counts == (1, 4)


def test_replies_to_global_requests_keep_their_order_among_data() -> None:
    def scenario(here: Established) -> None:
        here.open()
        waiters = [asyncio.Future[Any](loop=asyncio.new_event_loop()) for _ in range(2)]
        here.transport._global_request_waiters = list(waiters)
        for waiter in waiters:
            waiter.get_loop().close()
        here.receive(
            here.peer.data(b"one")
            + here.peer.packet(MSG_REQUEST_FAILURE)
            + here.peer.data(b"two")
            + here.peer.packet(MSG_REQUEST_SUCCESS, UInt32(7))
            + here.peer.data(b"three")
        )
        assert [waiter.result()[0] for waiter in waiters] == [
            MSG_REQUEST_FAILURE,
            MSG_REQUEST_SUCCESS,
        ]

    result = compare_paths(scenario)

    assert result.sessions[0].heard == [b"one", b"two", b"three"]
    assert result.counts == (0, 5)


def test_an_unexpected_reply_ends_the_connection() -> None:
    def scenario(here: Established) -> None:
        here.open()
        here.receive(here.peer.data(b"one") + here.peer.packet(MSG_REQUEST_FAILURE))

    assert "Unexpected global response" in compare_paths(scenario).state.ended


def test_packets_wait_for_one_that_is_processed_in_a_task() -> None:
    """Some packets are handled by asyncssh in a task, for example a key exchange."""

    def scenario(here: Established) -> None:
        async def slowly() -> None:
            here.open()

        def process(number: int, *_: object) -> Any:
            return slowly() if number == MSG_GLOBAL_REQUEST else True

        async def run() -> None:
            here.transport.process_packet = process
            sealed = here.peer.packet(MSG_GLOBAL_REQUEST) + stream(here)
            here.receive(sealed[:40], sealed[40:-1])
            assert not here.sessions
            await asyncio.gather(*here.transport._tasks)
            here.receive(sealed[-1:], stream(here))

        asyncio.run(run())

    result = compare_paths(scenario)

    assert result.sessions[0].heard == PIECES * 2
    assert result.counts == (0, len(PIECES))


def test_the_sequence_number_wraps_around() -> None:
    def scenario(here: Established) -> None:
        here.transport._recv_seq = 0xFFFFFFFE
        here.open()
        here.receive(stream(here))

    assert compare_paths(scenario).state.received == (3, 7523661662112280180)


# Received data


@pytest.mark.parametrize("size", [0, 1, MIN_VIEW_BYTES - 1, MIN_VIEW_BYTES, PACKET])
def test_data_of_any_size_is_received(size: int) -> None:
    def scenario(here: Established) -> None:
        here.open()
        here.receive(here.peer.data(blob(size)), here.peer.data(b"next"))

    result = compare_paths(scenario)

    assert result.sessions[0].received == blob(size) + b"next"
    assert result.counts == (0, 2 if size else 1)


def test_small_queued_data_is_copied_and_holds_no_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A window may be full of one-byte packets, and each view would take 400 times as much."""
    monkeypatch.setattr(connection, "ENABLED", True)
    here = Established()
    channel = here.open()
    channel.pause_reading()
    here.receive(here.peer.data(b"x"), here.peer.data(bytes(MIN_VIEW_BYTES)))

    assert [type(data) for data, _ in channel._recv_buf] == [bytes, memoryview]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_nested_connection_receives_any_buffer_type(
    kind: Callable[[bytes], Any],
) -> None:
    def scenario(here: Established) -> None:
        here.open()
        whole = stream(here)
        for part in (whole[:50], whole[50:250], whole[250:]):
            here.receive(kind(part))

    result = compare_paths(scenario)

    assert result.sessions[0].heard == PIECES
    assert result.counts == (0, len(PIECES))


def test_extended_data_is_left_to_asyncssh() -> None:
    def scenario(here: Established) -> None:
        here.open()._read_datatypes = {1}
        extended = UInt32(0) + UInt32(1) + String(b"a warning")
        here.receive(stream(here) + here.peer.packet(MSG_CHANNEL_EXTENDED_DATA, extended))

    assert compare_paths(scenario).sessions[0].heard == [*PIECES, (b"a warning", 1)]


def test_channels_of_other_classes_are_left_to_asyncssh() -> None:
    def scenario(here: Established) -> None:
        channel: Any = SSHTCPChannel(here.transport, here.loop, None, "strict", WINDOW, 1)
        here.adopt(channel, Session(), WINDOW, 100)
        here.receive(stream(here))
        channel.write(bytes(250))

    result = compare_paths(scenario)

    assert result.sessions[0].heard == PIECES
    assert result.counts == (0, 0)


# Windows and readers


@pytest.mark.parametrize("window", [1, 2, 7, 100])
def test_window_credit_is_sent_at_the_same_bytes(window: int) -> None:
    def scenario(here: Established) -> None:
        channel = here.open(receives=window)
        for wish in (1, window // 2, window // 2, 1, window, window, window - 1, window):
            here.receive(here.peer.data(blob(min(wish, channel._recv_window))))

    result = compare_paths(scenario)

    assert {payload[0] for payload, _ in result.sent} == {MSG_CHANNEL_WINDOW_ADJUST}
    assert result.state.ended == ""


def test_data_for_a_paused_reader_is_queued_without_credit() -> None:
    def scenario(here: Established) -> None:
        channel = here.open(receives=sum(SIZES))
        channel.pause_reading()
        here.receive(stream(here))
        assert channel._recv_window == 0
        assert here.sessions[0].heard == []
        channel.resume_reading()

    result = compare_paths(scenario)

    assert result.sessions[0].heard == PIECES
    assert result.counts == (0, len(PIECES))


def test_a_reader_that_pauses_gets_no_more_of_the_same_read() -> None:
    class PausingSession(Session):
        def data_received(self, data: bytes, datatype: Any = None) -> None:
            super().data_received(data, datatype)
            self.channel.pause_reading()

    def scenario(here: Established) -> None:
        here.open(PausingSession())
        here.receive(stream(here))

    assert compare_paths(scenario).sessions[0].heard == PIECES[:1]


def test_a_session_may_write_while_it_receives() -> None:
    class Echo(Session):
        def data_received(self, data: bytes, datatype: Any = None) -> None:
            super().data_received(data, datatype)
            self.channel.write(data)

    def scenario(here: Established) -> None:
        here.open(Echo(), window=100)
        here.receive(stream(here) + here.peer.adjust(WINDOW))

    result = compare_paths(scenario)

    assert b"".join(payload[9:] for payload, _ in result.sent) == b"".join(PIECES)
    assert result.counts == (len(result.sent), len(PIECES) + 1)


def test_data_for_a_locally_closed_channel_is_dropped() -> None:
    def scenario(here: Established) -> None:
        here.open().abort()
        here.receive(stream(here))

    result = compare_paths(scenario)

    assert result.sessions[0].heard == []
    assert result.state.ended == ""


def test_packets_before_the_end_of_the_login_are_left_to_asyncssh() -> None:
    def scenario(here: Established) -> None:
        here.transport._auth_final = False
        here.open()
        here.receive(stream(here))

    result = compare_paths(scenario)

    assert result.sessions[0].heard == PIECES
    assert result.counts == (
        0,
        len(PIECES) - 1,
    )  # asyncssh treats the first one as the end of the login
