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
    """A conversation on one of two streams, and what came of it."""

    def __init__(self, side: str) -> None:
        ends = open_ends()
        self.requested: list[TcpAddress] = []
        self.refused: list[str] = []
        self.stream = ends.socket if side == "socket" else ends.channel
        self.below = ends.below_socket if side == "socket" else ends.below_channel
        self.socks = SocksStream(self.stream, self.requested.append, self.refused.append)

    def say(self, data: bytes) -> None:
        self.stream.data_received(data)


@pytest.fixture(params=["socket", "channel"])
async def talk(request: pytest.FixtureRequest) -> Talk:
    return Talk(request.param)


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks_stream, "HANDSHAKE_TIMEOUT", 0.02)


async def test_a_client_is_read_and_its_request_handed_on(talk: Talk) -> None:
    assert talk.below.reading

    talk.say(METHODS)
    talk.say(REQUEST)

    assert talk.below.done == [NO_AUTHENTICATION]
    assert talk.requested == [TARGET]


async def test_a_client_that_sends_all_at_once_is_understood(talk: Talk) -> None:
    talk.say(METHODS + REQUEST)

    assert talk.requested == [TARGET]


async def test_a_client_is_not_read_while_its_target_is_connected(talk: Talk) -> None:
    talk.say(METHODS + REQUEST)

    assert not talk.below.reading

    talk.stream.resume_reading(PauseReason.HANDSHAKE)

    assert talk.below.reading


async def test_what_comes_behind_the_request_is_kept_for_the_target(talk: Talk) -> None:
    talk.say(METHODS + REQUEST + b"SELECT 1")

    assert talk.socks.leftover == b"SELECT 1"


async def test_the_answer_waits_for_the_outcome(talk: Talk) -> None:
    talk.say(METHODS + REQUEST)
    assert talk.below.done == [NO_AUTHENTICATION]

    talk.socks.grant()

    assert talk.below.done == [NO_AUTHENTICATION, GRANTED]


async def test_a_refusal_is_told_with_its_code_and_the_stream_is_closed(talk: Talk) -> None:
    talk.say(METHODS + REQUEST)
    talk.socks.reject(Reason.REFUSED)

    assert talk.below.done == [NO_AUTHENTICATION, REFUSED, "close"]


async def test_a_client_that_cannot_do_without_a_password_is_told_and_closed(talk: Talk) -> None:
    talk.say(bytes([5, 1, 2]))

    assert talk.below.done == [UNSUITABLE, "close"]
    assert talk.requested == []
    assert len(talk.refused) == 1


async def test_a_client_that_speaks_something_else_is_closed_with_a_reason(talk: Talk) -> None:
    talk.say(b"GET / HTTP/1.1\r\n")

    assert talk.below.done == ["close"]
    assert "HTTP" in talk.refused[0]


async def test_a_client_that_ends_before_its_request_is_closed(talk: Talk) -> None:
    talk.say(METHODS)
    talk.stream.eof_received()

    assert talk.below.done == [NO_AUTHENTICATION, "close"]
    assert talk.refused == []
    assert talk.requested == []


async def test_a_client_that_half_closes_after_its_request_is_served(talk: Talk) -> None:
    talk.say(METHODS + REQUEST)
    talk.stream.eof_received()

    assert talk.below.done == [NO_AUTHENTICATION]


async def test_a_client_that_is_gone_is_forgotten(talk: Talk) -> None:
    talk.stream.connection_lost(None)

    assert talk.socks._deadline.cancelled()
    assert talk.refused == []


async def test_holding_back_an_answer_of_a_few_bytes_is_not_needed(talk: Talk) -> None:
    talk.stream.pause_writing()
    talk.stream.resume_writing()
    talk.socks.pause_reading(PauseReason.PEER_WRITE_PAUSED)
    talk.socks.resume_reading(PauseReason.PEER_WRITE_PAUSED)
    talk.say(METHODS)

    assert talk.below.done == [NO_AUTHENTICATION]


@pytest.mark.usefixtures("impatience")
@pytest.mark.parametrize("side", ["socket", "channel"])
@pytest.mark.parametrize("said", [b"", METHODS, METHODS + REQUEST[:-1]])
async def test_a_client_that_does_not_say_what_it_wants_is_cut_off(side: str, said: bytes) -> None:
    talk = Talk(side)
    talk.say(said)

    await until(lambda: talk.refused)

    assert talk.refused == ["no SOCKS request within 0 s"]
    assert talk.below.done[-1] == "abort"


@pytest.mark.parametrize("last", [METHODS + REQUEST, b"GET / HTTP/1.1\r\n", None])
@pytest.mark.parametrize("side", ["socket", "channel"])
async def test_the_deadline_is_over_when_the_handshake_is(side: str, last: bytes | None) -> None:
    talk = Talk(side)
    if last is None:
        talk.stream.eof_received()
    else:
        talk.say(last)

    assert talk.socks._deadline.cancelled()
