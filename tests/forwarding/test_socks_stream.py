from __future__ import annotations

import pytest

from tests.forwarding.fakes import open_ends
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
UNSUITABLE = bytes([5, 0xFF])
TARGET = TcpAddress("db.home", 5432)


class Talk:
    """A handshake on one of the two kinds of stream, and its callbacks."""

    def __init__(self, side: str) -> None:
        ends = open_ends()
        self.requested: list[TcpAddress] = []
        self.errors: list[str] = []
        self.stream = ends.socket if side == "socket" else ends.channel
        self.below = ends.below_socket if side == "socket" else ends.below_channel
        self.socks = SocksStream(self.stream, self.requested.append, self.errors.append)

    def send(self, data: bytes) -> None:
        self.stream.data_received(data)


@pytest.fixture(params=["socket", "channel"])
async def talk(request: pytest.FixtureRequest) -> Talk:
    return Talk(request.param)


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks_stream, "HANDSHAKE_TIMEOUT", 0.02)


async def test_a_request_is_read_and_passed_on(talk: Talk) -> None:
    assert talk.below.reading

    talk.send(METHODS)
    talk.send(REQUEST)

    assert talk.below.done == [NO_AUTHENTICATION]
    assert talk.requested == [TARGET]


async def test_greeting_and_request_may_come_at_once(talk: Talk) -> None:
    talk.send(METHODS + REQUEST)

    assert talk.requested == [TARGET]


async def test_a_client_is_not_read_while_its_target_is_connected(talk: Talk) -> None:
    talk.send(METHODS + REQUEST)

    assert not talk.below.reading

    talk.stream.resume_reading(PauseReason.HANDSHAKE)

    assert talk.below.reading


async def test_data_after_the_request_is_kept_for_the_target(talk: Talk) -> None:
    talk.send(METHODS + REQUEST + b"SELECT 1")

    assert talk.socks.leftover == b"SELECT 1"


async def test_the_reply_waits_for_the_connect(talk: Talk) -> None:
    talk.send(METHODS + REQUEST)
    assert talk.below.done == [NO_AUTHENTICATION]

    talk.socks.grant()

    assert talk.below.done == [NO_AUTHENTICATION, GRANTED]


async def test_a_failed_connect_sends_its_reply_and_closes_the_stream(talk: Talk) -> None:
    talk.send(METHODS + REQUEST)
    talk.socks.reject(Reason.REFUSED)

    assert talk.below.done == [NO_AUTHENTICATION, REFUSED, "close"]


async def test_a_client_that_needs_authentication_gets_a_reply_and_is_closed(talk: Talk) -> None:
    talk.send(bytes([5, 1, 2]))

    assert talk.below.done == [UNSUITABLE, "close"]
    assert talk.requested == []
    assert len(talk.errors) == 1


async def test_a_client_of_another_protocol_is_closed_and_reported(talk: Talk) -> None:
    talk.send(b"GET / HTTP/1.1\r\n")

    assert talk.below.done == ["close"]
    assert "HTTP" in talk.errors[0]


async def test_an_eof_before_the_request_closes_the_stream(talk: Talk) -> None:
    talk.send(METHODS)
    talk.stream.eof_received()

    assert talk.below.done == [NO_AUTHENTICATION, "close"]
    assert talk.errors == []
    assert talk.requested == []


async def test_a_client_that_half_closes_after_its_request_is_served(talk: Talk) -> None:
    talk.send(METHODS + REQUEST)
    talk.stream.eof_received()

    assert talk.below.done == [NO_AUTHENTICATION]


async def test_a_client_that_disconnects_cancels_the_deadline(talk: Talk) -> None:
    talk.stream.connection_lost(None)

    assert talk.socks._deadline.cancelled()
    assert talk.errors == []


async def test_pausing_and_resuming_does_not_delay_a_reply(talk: Talk) -> None:
    talk.stream.pause_writing()
    talk.stream.resume_writing()
    talk.socks.pause_reading(PauseReason.PEER_WRITE_PAUSED)
    talk.socks.resume_reading(PauseReason.PEER_WRITE_PAUSED)
    talk.send(METHODS)

    assert talk.below.done == [NO_AUTHENTICATION]


@pytest.mark.usefixtures("short_timeout")
@pytest.mark.parametrize("side", ["socket", "channel"])
@pytest.mark.parametrize("data", [b"", METHODS, METHODS + REQUEST[:-1]])
async def test_a_client_that_sends_no_request_in_time_is_aborted(side: str, data: bytes) -> None:
    talk = Talk(side)
    talk.send(data)

    await until(lambda: talk.errors)

    assert talk.errors == ["no SOCKS request within 0 s"]
    assert talk.below.done[-1] == "abort"


@pytest.mark.parametrize("last", [METHODS + REQUEST, b"GET / HTTP/1.1\r\n", None])
@pytest.mark.parametrize("side", ["socket", "channel"])
async def test_the_deadline_ends_with_the_handshake(side: str, last: bytes | None) -> None:
    talk = Talk(side)
    if last is None:
        talk.stream.eof_received()
    else:
        talk.send(last)

    assert talk.socks._deadline.cancelled()
