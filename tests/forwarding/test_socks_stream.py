from __future__ import annotations

import pytest

from tests.forwarding.fakes import open_endpoints
from tests.ssh.waiting import until
from tunnelkeeper.core.connect_error import Reason
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.forwarding import socks_stream
from tunnelkeeper.forwarding.pump import PauseReason
from tunnelkeeper.forwarding.socks_stream import SocksStream

METHODS = bytes([5, 1, 0])
NO_AUTHENTICATION = bytes([5, 0])
REQUEST = bytes([5, 1, 0, 3, 7]) + b"db.home" + (5432).to_bytes(2)
GRANTED = bytes([5, 0, 0, 1]) + bytes(6)
REFUSED = bytes([5, 5, 0, 1]) + bytes(6)
NO_ACCEPTABLE_METHOD = bytes([5, 0xFF])
TARGET = TcpAddress("db.home", 5432)


class StreamHandshake:
    """A handshake on one of the two kinds of stream, and its callbacks."""

    def __init__(self, side: str) -> None:
        endpoints = open_endpoints()
        self.requested: list[TcpAddress] = []
        self.errors: list[str] = []
        self.stream = endpoints.socket if side == "socket" else endpoints.channel
        self.lower = endpoints.transport if side == "socket" else endpoints.asyncssh_channel
        self.socks = SocksStream(self.stream, self.requested.append, self.errors.append)

    def send(self, data: bytes) -> None:
        self.stream.data_received(data)


@pytest.fixture(params=["socket", "channel"])
async def handshake(request: pytest.FixtureRequest) -> StreamHandshake:
    return StreamHandshake(request.param)


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks_stream, "HANDSHAKE_TIMEOUT", 0.02)


async def test_a_request_is_parsed_and_reported(handshake: StreamHandshake) -> None:
    assert handshake.lower.reading

    handshake.send(METHODS)
    handshake.send(REQUEST)

    assert handshake.lower.calls == [NO_AUTHENTICATION]
    assert handshake.requested == [TARGET]


async def test_greeting_and_request_may_come_at_once(handshake: StreamHandshake) -> None:
    handshake.send(METHODS + REQUEST)

    assert handshake.requested == [TARGET]


async def test_a_client_is_not_read_while_its_target_is_connected(
    handshake: StreamHandshake,
) -> None:
    handshake.send(METHODS + REQUEST)

    assert not handshake.lower.reading

    handshake.stream.resume_reading(PauseReason.HANDSHAKE)

    assert handshake.lower.reading


async def test_data_after_the_request_is_kept_for_the_target(handshake: StreamHandshake) -> None:
    handshake.send(METHODS + REQUEST + b"SELECT 1")

    assert handshake.socks.leftover == b"SELECT 1"


async def test_the_reply_waits_for_the_connect(handshake: StreamHandshake) -> None:
    handshake.send(METHODS + REQUEST)
    assert handshake.lower.calls == [NO_AUTHENTICATION]

    handshake.socks.grant()

    assert handshake.lower.calls == [NO_AUTHENTICATION, GRANTED]


async def test_a_failed_connect_sends_its_reply_and_closes_the_stream(
    handshake: StreamHandshake,
) -> None:
    handshake.send(METHODS + REQUEST)
    handshake.socks.reject(Reason.REFUSED)

    assert handshake.lower.calls == [NO_AUTHENTICATION, REFUSED, "close"]


async def test_a_client_that_needs_authentication_gets_a_reply_and_is_closed(
    handshake: StreamHandshake,
) -> None:
    handshake.send(bytes([5, 1, 2]))

    assert handshake.lower.calls == [NO_ACCEPTABLE_METHOD, "close"]
    assert handshake.requested == []
    assert len(handshake.errors) == 1


async def test_a_client_of_another_protocol_is_closed_and_reported(
    handshake: StreamHandshake,
) -> None:
    handshake.send(b"GET / HTTP/1.1\r\n")

    assert handshake.lower.calls == ["close"]
    assert "HTTP" in handshake.errors[0]


async def test_an_eof_before_the_request_closes_the_stream(handshake: StreamHandshake) -> None:
    handshake.send(METHODS)
    handshake.stream.eof_received()

    assert handshake.lower.calls == [NO_AUTHENTICATION, "close"]
    assert handshake.errors == []
    assert handshake.requested == []


async def test_a_client_that_half_closes_after_its_request_is_served(
    handshake: StreamHandshake,
) -> None:
    handshake.send(METHODS + REQUEST)
    handshake.stream.eof_received()

    assert handshake.lower.calls == [NO_AUTHENTICATION]


async def test_a_client_that_disconnects_cancels_the_deadline(handshake: StreamHandshake) -> None:
    handshake.stream.connection_lost(None)

    assert handshake.socks._deadline.cancelled()
    assert handshake.errors == []


async def test_pausing_and_resuming_does_not_delay_a_reply(handshake: StreamHandshake) -> None:
    handshake.stream.pause_writing()
    handshake.stream.resume_writing()
    handshake.socks.pause_reading(PauseReason.PEER_WRITE_PAUSED)
    handshake.socks.resume_reading(PauseReason.PEER_WRITE_PAUSED)
    handshake.send(METHODS)

    assert handshake.lower.calls == [NO_AUTHENTICATION]


@pytest.mark.usefixtures("short_timeout")
@pytest.mark.parametrize("side", ["socket", "channel"])
@pytest.mark.parametrize("data", [b"", METHODS, METHODS + REQUEST[:-1]])
async def test_a_client_that_sends_no_request_in_time_is_aborted(side: str, data: bytes) -> None:
    handshake = StreamHandshake(side)
    handshake.send(data)

    await until(lambda: handshake.errors)

    assert handshake.errors == ["no SOCKS request within 0 s"]
    assert handshake.lower.calls[-1] == "abort"


@pytest.mark.parametrize("final_data", [METHODS + REQUEST, b"GET / HTTP/1.1\r\n", None])
@pytest.mark.parametrize("side", ["socket", "channel"])
async def test_the_deadline_ends_with_the_handshake(side: str, final_data: bytes | None) -> None:
    handshake = StreamHandshake(side)
    if final_data is None:
        handshake.stream.eof_received()
    else:
        handshake.send(final_data)

    assert handshake.socks._deadline.cancelled()
