"""What is received the short way comes to what asyncssh makes of it, however it is cut."""

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
from tests.ssh.established import PACKET, WINDOW, Established, Session, both_ways
from tunnelkeeper.ssh.fastpath import connection
from tunnelkeeper.ssh.fastpath.connection import MIN_VIEW_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (1, 6, 7, 40, 100)
PIECES = [blob(size) for size in SIZES]


def stream(here: Established, channel: int = 0) -> bytes:
    """Packets of data in a row, as a server sends them that is not asyncssh."""
    return b"".join(here.peer.data(piece, channel) for piece in PIECES)


# Packets and reads


def test_each_packet_of_a_read_reaches_its_channel() -> None:
    def life(here: Established) -> None:
        for _ in range(2):
            here.open()
        here.receive(
            here.peer.data(b"one", 0) + here.peer.data(b"two", 1) + here.peer.data(b"three", 0)
        )

    live = both_ways(life)

    assert [session.heard for session in live.sessions] == [[b"one", b"three"], [b"two"]]
    assert live.counts == (0, 3)


def test_a_read_may_end_at_every_byte_of_a_packet() -> None:
    def cut_at(end: int) -> Established:
        def life(here: Established) -> None:
            here.open()
            whole = stream(here)
            here.receive(whole[:end], whole[end:])

        return both_ways(life)

    uncut = cut_at(0)
    for end in range(len(stream(Established()))):
        live = cut_at(end)
        assert live.counts == (0, len(PIECES))
        assert live.ledger == uncut.ledger


def test_packets_may_come_byte_by_byte() -> None:
    def life(here: Established) -> None:
        here.open()
        here.receive(*(bytes([byte]) for byte in stream(here)))

    live = both_ways(life)

    assert live.sessions[0].heard == PIECES
    assert live.counts == (0, len(PIECES))


def test_a_large_packet_may_come_in_many_reads() -> None:
    data = blob(PACKET)

    def life(here: Established) -> None:
        here.open()
        sealed = here.peer.data(data) + here.peer.data(b"next")
        here.receive(*(sealed[at : at + 1460] for at in range(0, len(sealed), 1460)))

    live = both_ways(life)

    assert live.sessions[0].heard == [data, b"next"]
    assert live.counts == (0, 2)


def test_other_packets_take_asyncsshs_way_in_their_turn() -> None:
    def life(here: Established) -> None:
        here.open(window=0).write(b"kept")
        request = String(b"what@example.com") + Boolean(True)
        here.receive(
            here.peer.data(b"one")
            + here.peer.packet(MSG_GLOBAL_REQUEST, request)
            + here.peer.data(b"two")
            + here.peer.adjust(4)
            + here.peer.data(b"three")
        )

    live = both_ways(life)

    assert [payload for payload, _ in live.sent] == [
        Byte(MSG_REQUEST_FAILURE),
        Byte(MSG_CHANNEL_DATA) + UInt32(0) + String(b"kept"),
    ]
    assert live.sessions[0].heard == [b"one", b"two", b"three"]
    assert live.counts == (1, 4)


def test_answers_to_global_requests_keep_their_order_among_the_data() -> None:
    def life(here: Established) -> None:
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

    live = both_ways(life)

    assert live.sessions[0].heard == [b"one", b"two", b"three"]
    assert live.counts == (0, 5)


def test_an_answer_that_nobody_waits_for_ends_the_connection_as_with_asyncssh() -> None:
    def life(here: Established) -> None:
        here.open()
        here.receive(here.peer.data(b"one") + here.peer.packet(MSG_REQUEST_FAILURE))

    assert "Unexpected global response" in both_ways(life).ledger.ended


def test_what_comes_behind_a_packet_that_takes_its_time_waits_for_it() -> None:
    """As a key exchange does: asyncssh answers it in a task."""

    def life(here: Established) -> None:
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

    live = both_ways(life)

    assert live.sessions[0].heard == PIECES * 2
    assert live.counts == (0, len(PIECES))


def test_the_sequence_number_begins_anew_behind_its_last() -> None:
    def life(here: Established) -> None:
        here.transport._recv_seq = 0xFFFFFFFE
        here.open()
        here.receive(stream(here))

    assert both_ways(life).ledger.received == (3, 7523661662112280180)


# What is received


@pytest.mark.parametrize("size", [0, 1, MIN_VIEW_BYTES - 1, MIN_VIEW_BYTES, PACKET])
def test_data_of_any_size_is_received(size: int) -> None:
    def life(here: Established) -> None:
        here.open()
        here.receive(here.peer.data(blob(size)), here.peer.data(b"next"))

    live = both_ways(life)

    assert live.sessions[0].received == blob(size) + b"next"
    assert live.counts == (0, 2 if size else 1)


def test_small_data_that_waits_takes_no_more_memory_than_its_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A window may be full of packets of one byte; a view of each would be 400 times that."""
    monkeypatch.setattr(connection, "ENABLED", True)
    here = Established()
    channel = here.open()
    channel.pause_reading()
    here.receive(here.peer.data(b"x"), here.peer.data(bytes(MIN_VIEW_BYTES)))

    assert [type(data) for data, _ in channel._recv_buf] == [bytes, memoryview]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_connection_inside_another_one_receives_what_that_hands_on(
    kind: Callable[[bytes], Any],
) -> None:
    def life(here: Established) -> None:
        here.open()
        whole = stream(here)
        for part in (whole[:50], whole[50:250], whole[250:]):
            here.receive(kind(part))

    live = both_ways(life)

    assert live.sessions[0].heard == PIECES
    assert live.counts == (0, len(PIECES))


def test_extended_data_takes_asyncsshs_way() -> None:
    def life(here: Established) -> None:
        here.open()._read_datatypes = {1}
        extended = UInt32(0) + UInt32(1) + String(b"a warning")
        here.receive(stream(here) + here.peer.packet(MSG_CHANNEL_EXTENDED_DATA, extended))

    assert both_ways(life).sessions[0].heard == [*PIECES, (b"a warning", 1)]


def test_a_channel_of_asyncsshs_own_takes_asyncsshs_way() -> None:
    def life(here: Established) -> None:
        channel: Any = SSHTCPChannel(here.transport, here.loop, None, "strict", WINDOW, 1)
        here.adopt(channel, Session(), WINDOW, 100)
        here.receive(stream(here))
        channel.write(bytes(250))

    live = both_ways(life)

    assert live.sessions[0].heard == PIECES
    assert live.counts == (0, 0)


# Windows and readers


@pytest.mark.parametrize("window", [1, 2, 7, 100])
def test_credit_is_given_at_the_same_bytes(window: int) -> None:
    def life(here: Established) -> None:
        channel = here.open(receives=window)
        for wish in (1, window // 2, window // 2, 1, window, window, window - 1, window):
            here.receive(here.peer.data(blob(min(wish, channel._recv_window))))

    live = both_ways(life)

    assert {payload[0] for payload, _ in live.sent} == {MSG_CHANNEL_WINDOW_ADJUST}
    assert live.ledger.ended == ""


def test_what_a_slow_reader_has_not_taken_waits_and_earns_no_credit() -> None:
    def life(here: Established) -> None:
        channel = here.open(receives=sum(SIZES))
        channel.pause_reading()
        here.receive(stream(here))
        assert channel._recv_window == 0
        assert here.sessions[0].heard == []
        channel.resume_reading()

    live = both_ways(life)

    assert live.sessions[0].heard == PIECES
    assert live.counts == (0, len(PIECES))


def test_a_reader_that_has_enough_gets_no_more_of_the_same_read() -> None:
    class Sated(Session):
        def data_received(self, data: bytes, datatype: Any = None) -> None:
            super().data_received(data, datatype)
            self.channel.pause_reading()

    def life(here: Established) -> None:
        here.open(Sated())
        here.receive(stream(here))

    assert both_ways(life).sessions[0].heard == PIECES[:1]


def test_a_session_may_write_while_it_receives() -> None:
    class Echo(Session):
        def data_received(self, data: bytes, datatype: Any = None) -> None:
            super().data_received(data, datatype)
            self.channel.write(data)

    def life(here: Established) -> None:
        here.open(Echo(), window=100)
        here.receive(stream(here) + here.peer.adjust(WINDOW))

    live = both_ways(life)

    assert b"".join(payload[9:] for payload, _ in live.sent) == b"".join(PIECES)
    assert live.counts == (len(live.sent), len(PIECES) + 1)


def test_data_for_a_channel_that_we_have_closed_is_dropped() -> None:
    def life(here: Established) -> None:
        here.open().abort()
        here.receive(stream(here))

    live = both_ways(life)

    assert live.sessions[0].heard == []
    assert live.ledger.ended == ""


def test_nothing_is_taken_for_data_before_the_login_is_over() -> None:
    def life(here: Established) -> None:
        here.transport._auth_final = False
        here.open()
        here.receive(stream(here))

    live = both_ways(life)

    assert live.sessions[0].heard == PIECES
    assert live.counts == (0, len(PIECES) - 1)  # asyncssh takes the first one for the sign
