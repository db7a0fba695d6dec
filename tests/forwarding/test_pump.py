from __future__ import annotations

import asyncio
import logging
from socket import SHUT_WR, socketpair
from typing import TYPE_CHECKING

import pytest

from tests.forwarding.fakes import Ends, FakeTransport, joined_ends, open_ends
from tests.ssh.waiting import until
from tunnelkeeper.forwarding.pump import (
    ChannelEndpoint,
    Counters,
    PauseReason,
    SocketEndpoint,
    join,
)
from tunnelkeeper.net.stream_transport import StreamTransport

if TYPE_CHECKING:
    from tunnelkeeper.net.stream_transport import BufferList

BROKEN = ConnectionResetError(104, "Connection reset by peer")


@pytest.fixture
def ends() -> Ends:
    return joined_ends()


# Data and counters


def test_each_endpoint_sends_what_the_other_receives(ends: Ends) -> None:
    ends.socket.data_received(b"question")
    ends.channel.data_received(b"answer")

    assert ends.below_channel.done == [b"question"]
    assert ends.below_socket.done == [b"answer"]


def test_bytes_and_connections_are_counted(ends: Ends) -> None:
    ends.socket.data_received(b"question")
    ends.channel.data_received(b"answer")

    assert ends.counters == Counters(bytes_in=6, bytes_out=8, connections=1, connections_total=1)

    ends.channel.connection_lost(None)

    assert ends.counters == Counters(bytes_in=6, bytes_out=8, connections=0, connections_total=1)


def test_a_socket_is_not_read_before_it_has_a_peer() -> None:
    ends = open_ends()

    assert not ends.below_socket.reading

    join(ends.socket, ends.channel)

    assert ends.below_socket.reading


async def test_data_from_before_the_join_is_sent_by_the_join() -> None:
    ends = open_ends()
    ours, client = socketpair()
    ours.setblocking(False)
    with client:
        transport = StreamTransport(asyncio.get_running_loop(), ours, ends.socket)
        client.sendall(b"question")
        client.shutdown(SHUT_WR)

        join(ends.socket, ends.channel)

        assert ends.below_channel.done == [b"question"]
        await until(lambda: ends.below_channel.done == [b"question", "eof"])
        transport.abort()


def test_the_origin_is_the_remote_address_and_port() -> None:
    socket = SocketEndpoint()

    assert socket.origin == ("", 0)

    socket.connection_made(FakeTransport(("2001:db8::1", 1234, 0, 0)))

    assert socket.origin == ("2001:db8::1", 1234)


def test_a_unix_socket_has_no_origin() -> None:
    socket = SocketEndpoint()
    socket.connection_made(FakeTransport(""))

    assert socket.origin == ("", 0)


def test_data_without_a_peer_is_dropped_without_an_error() -> None:
    ends = open_ends()

    ends.channel.data_received(b"lost")
    ends.channel.resume_writing()
    ends.socket.data_received(b"lost")
    ends.socket.resume_writing()

    assert ends.below_socket.done == ends.below_channel.done == []


# Half-close


def test_a_half_close_of_the_socket_leaves_the_other_direction_open(ends: Ends) -> None:
    assert ends.socket.eof_received() is True  # otherwise asyncio closes the socket

    ends.channel.data_received(b"the answer")

    assert ends.below_channel.done == ["eof"]
    assert ends.below_socket.done == [b"the answer"]


def test_a_half_close_of_the_channel_leaves_the_other_direction_open(ends: Ends) -> None:
    assert ends.channel.eof_received() is True  # otherwise asyncssh half-closes the channel

    ends.socket.data_received(b"the question")

    assert ends.below_socket.done == ["eof"]
    assert ends.below_channel.done == [b"the question"]


def test_an_eof_of_the_channel_after_one_of_the_socket_closes_both(ends: Ends) -> None:
    ends.socket.eof_received()
    ends.channel.eof_received()

    assert ends.below_channel.done == ["eof"]
    assert ends.below_socket.done == ["close"]

    ends.socket.connection_lost(None)

    assert ends.below_channel.done == ["eof", "close"]


def test_an_eof_of_the_socket_after_one_of_the_channel_closes_both(ends: Ends) -> None:
    ends.channel.eof_received()
    ends.socket.eof_received()

    assert ends.below_socket.done == ["eof"]
    assert ends.below_channel.done == ["close"]

    ends.channel.connection_lost(None)

    assert ends.below_socket.done == ["eof", "close"]


def test_an_eof_of_the_socket_before_the_join_is_passed_on() -> None:
    ends = open_ends()
    ends.socket.eof_received()

    join(ends.socket, ends.channel)

    assert ends.below_channel.done == ["eof"]
    assert ends.below_socket.done == []


def test_an_eof_of_the_channel_before_the_join_is_passed_on() -> None:
    ends = open_ends()
    ends.channel.eof_received()

    join(ends.socket, ends.channel)

    assert ends.below_socket.done == ["eof"]
    assert ends.below_channel.done == []


def test_both_eofs_before_the_join_close_both() -> None:
    ends = open_ends()
    ends.socket.eof_received()
    ends.channel.eof_received()

    join(ends.socket, ends.channel)

    assert ends.below_channel.done == ["close"]
    assert ends.below_socket.done == ["close"]


def test_a_socket_that_is_closing_is_not_half_closed(ends: Ends) -> None:
    ends.below_socket.close()
    ends.channel.eof_received()

    assert ends.below_socket.done == ["close"]


def test_half_closing_a_reset_socket_aborts_it_without_an_error(
    ends: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    ends.below_socket.error_at_eof = OSError(107, "Transport endpoint is not connected")

    ends.channel.eof_received()

    assert ends.below_socket.done == ["abort"]
    assert ends.below_channel.done == []
    assert not caplog.records


# Closing


def test_an_orderly_end_of_the_socket_closes_the_channel_after_pending_data(ends: Ends) -> None:
    ends.socket.eof_received()
    ends.socket.connection_lost(None)

    assert ends.below_channel.done == ["eof", "close"]


def test_data_before_an_eof_is_sent_though_the_socket_is_reset_later(
    ends: Ends,
) -> None:
    ends.socket.eof_received()
    ends.socket.connection_lost(BROKEN)

    assert ends.below_channel.done == ["eof", "close"]


def test_a_reset_of_the_socket_aborts_the_channel(ends: Ends) -> None:
    ends.socket.connection_lost(BROKEN)

    assert ends.below_channel.done == ["abort"]


def test_an_orderly_end_of_the_channel_closes_the_socket_after_pending_data(ends: Ends) -> None:
    ends.channel.connection_lost(None)

    assert ends.below_socket.done == ["close"]


def test_a_channel_that_is_lost_with_its_connection_aborts_the_socket(ends: Ends) -> None:
    ends.channel.connection_lost(ConnectionError("gone"))

    assert ends.below_socket.done == ["abort"]


def test_calls_on_a_closed_endpoint_do_nothing(ends: Ends) -> None:
    ends.socket.connection_lost(None)
    ends.channel.connection_lost(None)
    before = list(ends.below_socket.done), list(ends.below_channel.done)

    for end in (ends.socket, ends.channel):
        end.write(b"late")
        end.write_eof()
        end.pause_reading(PauseReason.PEER_WRITE_PAUSED)
        end.resume_reading(PauseReason.PEER_WRITE_PAUSED)
        end.close()
        end.eof_received()

    assert (ends.below_socket.done, ends.below_channel.done) == before


def test_a_closed_channel_calls_on_closed(ends: Ends) -> None:
    calls: list[str] = []
    ends.channel.on_closed = lambda: calls.append("closed")

    ends.channel.connection_lost(None)

    assert calls == ["closed"]
    assert ends.channel.is_closed


def test_a_join_with_a_closed_socket_aborts_the_channel() -> None:
    ends = open_ends()
    ends.socket.connection_lost(BROKEN)

    join(ends.socket, ends.channel)

    assert ends.below_channel.done == ["abort"]


def test_a_join_with_a_closed_channel_aborts_the_socket() -> None:
    ends = open_ends()
    ends.channel.connection_lost(None)

    join(ends.socket, ends.channel)

    assert ends.below_socket.done == ["abort"]


def test_writing_to_a_closed_channel_keeps_the_data_that_it_still_delivers(
    ends: Ends,
) -> None:
    ends.below_channel.error = BrokenPipeError("Channel not open for sending")

    ends.socket.data_received(b"too late")
    ends.channel.data_received(b"what the target sent before")
    ends.channel.connection_lost(None)

    assert ends.below_channel.done == []
    assert ends.below_socket.done == [b"what the target sent before", "close"]
    assert ends.counters.bytes_out == 0


def test_a_channel_that_never_opens_aborts_its_socket() -> None:
    socket, counters = SocketEndpoint(), Counters()
    below = FakeTransport()
    socket.connection_made(below)

    ChannelEndpoint(counters, lambda channel: join(socket, channel)).abandon()

    assert below.done == ["abort"]
    assert counters == Counters()


# Bugs in callbacks


class Faulty(SocketEndpoint):
    """A peer that raises from every call of a channel."""

    def write(self, data: bytes | BufferList) -> None:
        raise ZeroDivisionError("in write")

    def write_eof(self) -> None:
        raise ZeroDivisionError("in write_eof")

    def close(self) -> None:
        raise ZeroDivisionError("in close")


def with_faulty_peer() -> Ends:
    ends = open_ends()
    ends.channel.peer = Faulty()
    return ends


@pytest.mark.parametrize("callback", ["data", "eof"])
def test_an_exception_in_a_callback_closes_the_channel_and_stays_out_of_asyncssh(
    callback: str, caplog: pytest.LogCaptureFixture
) -> None:
    ends = with_faulty_peer()

    if callback == "data":
        ends.channel.data_received(b"x")
    else:
        ends.channel.eof_received()

    assert ends.below_channel.done == ["abort"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_an_exception_while_a_channel_closes_still_calls_on_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ends = with_faulty_peer()
    calls: list[str] = []
    ends.channel.on_closed = lambda: calls.append("closed")

    ends.channel.connection_lost(None)

    assert calls == ["closed"]
    assert len(caplog.records) == 1


def test_an_exception_in_on_connected_closes_the_channel(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: ChannelEndpoint) -> None:
        raise ZeroDivisionError

    ends = open_ends(fail)

    assert ends.below_channel.done == ["abort"]
    assert len(caplog.records) == 1


def test_session_started_does_nothing(ends: Ends) -> None:
    ends.channel.session_started()

    assert ends.below_channel.done == []
