"""Text of the peer in other encodings than UTF-8 never ends a connection or hides a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh.constants import (
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_DEBUG,
    MSG_DISCONNECT,
    MSG_USERAUTH_BANNER,
)
from asyncssh.packet import Boolean, PacketDecodeError, SSHPacket, String, UInt32
from hypothesis import given
from hypothesis import strategies as st

from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import connected, serve
from tunnelkeeper.ssh.peer_text import TEXT_HANDLERS, readable

if TYPE_CHECKING:
    from pathlib import Path

LATIN1 = "Accès réservé".encode("latin-1")
BAD_LANGUAGE = b"\xff\xfe"


class ReceivedTexts:
    """The parts of a connection that asyncssh's handlers use."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.logger = self
        self._owner = self
        self._server_version = b"SSH-2.0-test"
        self._wait = None
        self._channels = {7: self}

    def debug1(self, *_: object) -> None: ...

    def is_client(self) -> bool:
        return True

    def _decode_utf8(self, text: bytes) -> str:
        return text.decode("utf-8")  # as strict as asyncssh's default

    def _force_close(self, error: Exception) -> None:
        self.texts.append(str(error))

    def debug_msg_received(self, msg: str, lang: str, always_display: bool) -> None:
        assert (lang, always_display) == ("", True)
        self.texts.append(msg)

    def auth_banner_received(self, msg: str, _lang: str) -> None:
        self.texts.append(msg)

    def process_open_failure(self, code: int, reason: str, _lang: str) -> None:
        assert code == 1
        self.texts.append(reason)


BEFORE = {
    MSG_DISCONNECT: UInt32(2),
    MSG_DEBUG: Boolean(True),
    MSG_USERAUTH_BANNER: b"",
    MSG_CHANNEL_OPEN_FAILURE: UInt32(7) + UInt32(1),
}


def handle(number: int, payload: bytes) -> list[str]:
    received = ReceivedTexts()
    handler: Any = TEXT_HANDLERS[number]
    handler(received, number, 0, SSHPacket(payload))
    return received.texts


@pytest.mark.parametrize("number", BEFORE)
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (LATIN1, r"Acc\xe8s r\xe9serv\xe9"),
        ("Accès".encode(), "Accès"),
        ("受付".encode("shift-jis"), r"\x8e\xf3\x95t"),
    ],
)
def test_a_text_in_any_encoding_is_read(number: int, sent: bytes, read: str) -> None:
    payload = BEFORE[number] + String(sent) + String(BAD_LANGUAGE)

    assert handle(number, payload) == [read]


@pytest.mark.parametrize("number", BEFORE)
def test_a_message_that_is_cut_off_is_still_an_error(number: int) -> None:
    payload = BEFORE[number] + String(LATIN1)

    with pytest.raises(PacketDecodeError):
        handle(number, payload)


@pytest.mark.parametrize("number", BEFORE)
def test_a_message_with_data_after_its_end_is_still_an_error(number: int) -> None:
    payload = BEFORE[number] + String(LATIN1) + String(b"") + b"more"

    with pytest.raises(PacketDecodeError):
        handle(number, payload)


@given(st.binary())
def test_every_text_becomes_utf8(text: bytes) -> None:
    readable(text).decode("utf-8")


@given(st.text())
def test_a_text_in_utf8_stays_as_it_is(text: str) -> None:
    encoded = text.encode("utf-8", "ignore")

    assert readable(encoded) == encoded


async def test_a_latin1_banner_and_debug_message_do_not_end_the_connection(tmp_path: Path) -> None:
    class Greeting(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            self._connection = conn

        def begin_auth(self, username: str) -> bool:
            text = String(LATIN1) + String(BAD_LANGUAGE)
            self._connection.send_packet(MSG_DEBUG, Boolean(True), text)
            self._connection.send_packet(MSG_USERAUTH_BANNER, text)
            return False

    progress = ProgressRecorder()
    async with (
        serve(tmp_path, server_factory=Greeting) as server,
        connected(server.host(), progress),
    ):
        pass

    assert r"banner: Acc\xe8s r\xe9serv\xe9" in progress.debugs
    assert r"the server says: Acc\xe8s r\xe9serv\xe9" in progress.debugs
