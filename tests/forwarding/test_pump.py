from __future__ import annotations

import asyncio
import logging
from socket import SHUT_WR, socketpair
from typing import TYPE_CHECKING

import pytest

from tests.forwarding.fakes import Endpoints, FakeTransport, joined_endpoints, open_endpoints
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

RESET = ConnectionResetError(104, "Connection reset by peer")


@pytest.fixture
def endpoints() -> Endpoints:
    return joined_endpoints()


# Data and counters


def test_each_endpoint_sends_what_the_other_receives(endpoints: Endpoints) -> None:
    endpoints.socket.data_received(b"question")
    endpoints.channel.data_received(b"answer")

    assert endpoints.asyncssh_channel.calls == [b"question"]
    assert endpoints.transport.calls == [b"answer"]


def test_bytes_and_connections_are_counted(endpoints: Endpoints) -> None:
    endpoints.socket.data_received(b"question")
    endpoints.channel.data_received(b"answer")

    assert endpoints.counters == Counters(
        bytes_in=6, bytes_out=8, connections=1, connections_total=1
    )

    endpoints.channel.connection_lost(None)

    assert endpoints.counters == Counters(
        bytes_in=6, bytes_out=8, connections=0, connections_total=1
    )


def test_a_socket_is_not_read_before_it_has_a_peer() -> None:
    endpoints = open_endpoints()

    assert not endpoints.transport.reading

    join(endpoints.socket, endpoints.channel)

    assert endpoints.transport.reading


async def test_data_from_before_the_join_is_sent_by_the_join() -> None:
    endpoints = open_endpoints()
    sock, client = socketpair()
    sock.setblocking(False)
    with client:
        transport = StreamTransport(asyncio.get_running_loop(), sock, endpoints.socket)
        client.sendall(b"question")
        client.shutdown(SHUT_WR)

        join(endpoints.socket, endpoints.channel)

        assert endpoints.asyncssh_channel.calls == [b"question"]
        await until(lambda: endpoints.asyncssh_channel.calls == [b"question", "eof"])
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
    endpoints = open_endpoints()

    endpoints.channel.data_received(b"lost")
    endpoints.channel.resume_writing()
    endpoints.socket.data_received(b"lost")
    endpoints.socket.resume_writing()

    assert endpoints.transport.calls == endpoints.asyncssh_channel.calls == []


# Half-close


def test_a_half_close_of_the_socket_leaves_the_other_direction_open(endpoints: Endpoints) -> None:
    assert endpoints.socket.eof_received() is True  # otherwise asyncio closes the socket

    endpoints.channel.data_received(b"the answer")

    assert endpoints.asyncssh_channel.calls == ["eof"]
    assert endpoints.transport.calls == [b"the answer"]


def test_a_half_close_of_the_channel_leaves_the_other_direction_open(endpoints: Endpoints) -> None:
    assert endpoints.channel.eof_received() is True  # otherwise asyncssh half-closes the channel

    endpoints.socket.data_received(b"the question")

    assert endpoints.transport.calls == ["eof"]
    assert endpoints.asyncssh_channel.calls == [b"the question"]


def test_an_eof_of_the_channel_after_one_of_the_socket_closes_both(endpoints: Endpoints) -> None:
    endpoints.socket.eof_received()
    endpoints.channel.eof_received()

    assert endpoints.asyncssh_channel.calls == ["eof"]
    assert endpoints.transport.calls == ["close"]

    endpoints.socket.connection_lost(None)

    assert endpoints.asyncssh_channel.calls == ["eof", "close"]


def test_an_eof_of_the_socket_after_one_of_the_channel_closes_both(endpoints: Endpoints) -> None:
    endpoints.channel.eof_received()
    endpoints.socket.eof_received()

    assert endpoints.transport.calls == ["eof"]
    assert endpoints.asyncssh_channel.calls == ["close"]

    endpoints.channel.connection_lost(None)

    assert endpoints.transport.calls == ["eof", "close"]


def test_an_eof_of_the_socket_before_the_join_is_passed_on() -> None:
    endpoints = open_endpoints()
    endpoints.socket.eof_received()

    join(endpoints.socket, endpoints.channel)

    assert endpoints.asyncssh_channel.calls == ["eof"]
    assert endpoints.transport.calls == []


def test_an_eof_of_the_channel_before_the_join_is_passed_on() -> None:
    endpoints = open_endpoints()
    endpoints.channel.eof_received()

    join(endpoints.socket, endpoints.channel)

    assert endpoints.transport.calls == ["eof"]
    assert endpoints.asyncssh_channel.calls == []


def test_both_eofs_before_the_join_close_both() -> None:
    endpoints = open_endpoints()
    endpoints.socket.eof_received()
    endpoints.channel.eof_received()

    join(endpoints.socket, endpoints.channel)

    assert endpoints.asyncssh_channel.calls == ["close"]
    assert endpoints.transport.calls == ["close"]


def test_a_socket_that_is_closing_is_not_half_closed(endpoints: Endpoints) -> None:
    endpoints.transport.close()
    endpoints.channel.eof_received()

    assert endpoints.transport.calls == ["close"]


def test_half_closing_a_reset_socket_aborts_it_without_an_error(
    endpoints: Endpoints, caplog: pytest.LogCaptureFixture
) -> None:
    endpoints.transport.error_at_eof = OSError(107, "Transport endpoint is not connected")

    endpoints.channel.eof_received()

    assert endpoints.transport.calls == ["abort"]
    assert endpoints.asyncssh_channel.calls == []
    assert not caplog.records


# Closing


def test_an_orderly_end_of_the_socket_closes_the_channel_after_pending_data(
    endpoints: Endpoints,
) -> None:
    endpoints.socket.eof_received()
    endpoints.socket.connection_lost(None)

    assert endpoints.asyncssh_channel.calls == ["eof", "close"]


def test_data_before_an_eof_is_sent_though_the_socket_is_reset_later(
    endpoints: Endpoints,
) -> None:
    endpoints.socket.eof_received()
    endpoints.socket.connection_lost(RESET)

    assert endpoints.asyncssh_channel.calls == ["eof", "close"]


def test_a_reset_of_the_socket_aborts_the_channel(endpoints: Endpoints) -> None:
    endpoints.socket.connection_lost(RESET)

    assert endpoints.asyncssh_channel.calls == ["abort"]


def test_an_orderly_end_of_the_channel_closes_the_socket_after_pending_data(
    endpoints: Endpoints,
) -> None:
    endpoints.channel.connection_lost(None)

    assert endpoints.transport.calls == ["close"]


def test_a_channel_that_is_lost_with_its_connection_aborts_the_socket(endpoints: Endpoints) -> None:
    endpoints.channel.connection_lost(ConnectionError("gone"))

    assert endpoints.transport.calls == ["abort"]


def test_calls_on_a_closed_endpoint_do_nothing(endpoints: Endpoints) -> None:
    endpoints.socket.connection_lost(None)
    endpoints.channel.connection_lost(None)
    before = list(endpoints.transport.calls), list(endpoints.asyncssh_channel.calls)

    for endpoint in (endpoints.socket, endpoints.channel):
        endpoint.write(b"late")
        endpoint.write_eof()
        endpoint.pause_reading(PauseReason.PEER_WRITE_PAUSED)
        endpoint.resume_reading(PauseReason.PEER_WRITE_PAUSED)
        endpoint.close()
        endpoint.eof_received()

    assert (endpoints.transport.calls, endpoints.asyncssh_channel.calls) == before


def test_a_closed_channel_calls_on_closed(endpoints: Endpoints) -> None:
    calls: list[str] = []
    endpoints.channel.on_closed = lambda: calls.append("closed")

    endpoints.channel.connection_lost(None)

    assert calls == ["closed"]
    assert endpoints.channel.is_closed


def test_a_join_with_a_closed_socket_aborts_the_channel() -> None:
    endpoints = open_endpoints()
    endpoints.socket.connection_lost(RESET)

    join(endpoints.socket, endpoints.channel)

    assert endpoints.asyncssh_channel.calls == ["abort"]


def test_a_join_with_a_closed_channel_aborts_the_socket() -> None:
    endpoints = open_endpoints()
    endpoints.channel.connection_lost(None)

    join(endpoints.socket, endpoints.channel)

    assert endpoints.transport.calls == ["abort"]


def test_writing_to_a_closed_channel_keeps_the_data_that_it_still_delivers(
    endpoints: Endpoints,
) -> None:
    endpoints.asyncssh_channel.error = BrokenPipeError("Channel not open for sending")

    endpoints.socket.data_received(b"too late")
    endpoints.channel.data_received(b"what the target sent before")
    endpoints.channel.connection_lost(None)

    assert endpoints.asyncssh_channel.calls == []
    assert endpoints.transport.calls == [b"what the target sent before", "close"]
    assert endpoints.counters.bytes_out == 0


def test_a_channel_that_never_opens_aborts_its_socket() -> None:
    socket, counters = SocketEndpoint(), Counters()
    fake_transport = FakeTransport()
    socket.connection_made(fake_transport)

    ChannelEndpoint(counters, lambda channel: join(socket, channel)).abandon()

    assert fake_transport.calls == ["abort"]
    assert counters == Counters()


# Exceptions in callbacks


class FaultyPeer(SocketEndpoint):
    """A peer that raises from every call of a channel."""

    def write(self, data: bytes | BufferList) -> None:
        raise ZeroDivisionError("in write")

    def write_eof(self) -> None:
        raise ZeroDivisionError("in write_eof")

    def close(self) -> None:
        raise ZeroDivisionError("in close")


def endpoints_with_faulty_peer() -> Endpoints:
    endpoints = open_endpoints()
    endpoints.channel.peer = FaultyPeer()
    return endpoints


@pytest.mark.parametrize("callback", ["data", "eof"])
def test_an_exception_in_a_callback_closes_the_channel_and_stays_out_of_asyncssh(
    callback: str, caplog: pytest.LogCaptureFixture
) -> None:
    endpoints = endpoints_with_faulty_peer()

    if callback == "data":
        endpoints.channel.data_received(b"x")
    else:
        endpoints.channel.eof_received()

    assert endpoints.asyncssh_channel.calls == ["abort"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_an_exception_while_a_channel_closes_still_calls_on_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    endpoints = endpoints_with_faulty_peer()
    calls: list[str] = []
    endpoints.channel.on_closed = lambda: calls.append("closed")

    endpoints.channel.connection_lost(None)

    assert calls == ["closed"]
    assert len(caplog.records) == 1


def test_an_exception_in_on_connected_closes_the_channel(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: ChannelEndpoint) -> None:
        raise ZeroDivisionError

    endpoints = open_endpoints(fail)

    assert endpoints.asyncssh_channel.calls == ["abort"]
    assert len(caplog.records) == 1


def test_session_started_does_nothing(endpoints: Endpoints) -> None:
    endpoints.channel.session_started()

    assert endpoints.asyncssh_channel.calls == []
