"""The messages of the login methods password (RFC 4252 section 8) and keyboard-interactive.

They differ from asyncssh's: texts of the server in any encoding are accepted, and secrets are sent
as they are, in packets that hide their length as ssh does. LoginAnswers decides what is sent. They
override private parts of asyncssh and rest on asyncssh 2.24.1.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.auth import (
    MSG_USERAUTH_INFO_REQUEST,
    MSG_USERAUTH_INFO_RESPONSE,
    MSG_USERAUTH_PASSWD_CHANGEREQ,
    ClientAuth,
)
from asyncssh.constants import DISC_AUTH_CANCELLED_BY_USER
from asyncssh.packet import Boolean, String, UInt32

from tunnelkeeper.core.login_methods import KEYBOARD_INTERACTIVE, PASSWORD
from tunnelkeeper.core.login_prompts import Round
from tunnelkeeper.core.questions import MAX_PROMPTS
from tunnelkeeper.questions.login_dialog import AnswerNeededError
from tunnelkeeper.ssh.auth.login_request import LoginAbandonedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncssh.packet import SSHPacket

    from tunnelkeeper.ssh.auth.login_answers import LoginAnswers

PADDED_SIZE = 64
"""Packets with a secret have a multiple of this size, as those of ssh (sshconnect2.c)."""


class _SecretMethod(ClientAuth):
    """A method that sends what LoginAnswers has."""

    _conn: Any

    @property
    def answers(self) -> LoginAnswers:
        """The answers of this login."""
        answers: LoginAnswers = self._conn.answers
        return answers

    def auth_succeeded(self) -> None:
        """Record that the server accepts what was sent."""
        self.answers.accepted()

    def auth_failed(self) -> None:
        """Record that the server refuses what was sent."""
        self.answers.refused()

    @contextmanager
    def _ending_login(self) -> Iterator[None]:
        """End the connection if the body finds no answer. The attempt knows why."""
        try:
            yield
        except (AnswerNeededError, LoginAbandonedError) as error:
            if isinstance(error, LoginAbandonedError):
                self.answers.abandoned = str(error)
            reason = "the login was cancelled"
            raise asyncssh.DisconnectError(DISC_AUTH_CANCELLED_BY_USER, reason) from error

    @contextmanager
    def _hidden_length(self) -> Iterator[None]:
        """Pad the packets that are sent in the body, so that their size tells nothing."""
        block_size: int = self._conn._send_blocksize  # noqa: SLF001
        self._conn._send_blocksize = max(block_size, PADDED_SIZE)  # noqa: SLF001
        try:
            yield
        finally:
            self._conn._send_blocksize = block_size  # noqa: SLF001


class PasswordMethod(_SecretMethod):
    """The method password."""

    async def _start(self) -> None:
        with self._ending_login():
            secret = await self.answers.password()
        if secret is None:
            self._conn.try_next_auth(next_method=True)
            return
        with self._hidden_length():
            await self.send_request(Boolean(False), String(secret.reveal()), trivial=False)

    def _process_change_request(self, _kind: int, _number: int, packet: SSHPacket) -> None:
        notice = _text(packet.get_string())
        packet.get_string()  # the language
        packet.check_end()
        self.create_task(self._change_password(notice))

    async def _change_password(self, notice: str) -> None:
        with self._ending_login():
            passwords = await self.answers.changed_password(notice)
        if passwords is None:
            self._conn.try_next_auth(next_method=True)
            return
        old, new = passwords
        with self._hidden_length():
            await self.send_request(
                Boolean(True), String(old.reveal()), String(new.reveal()), trivial=False
            )

    _packet_handlers = {  # noqa: RUF012  asyncssh's table
        MSG_USERAUTH_PASSWD_CHANGEREQ: _process_change_request
    }


class KeyboardInteractiveMethod(_SecretMethod):
    """The method keyboard-interactive (RFC 4256)."""

    async def _start(self) -> None:
        with self._ending_login():
            may_begin = await self.answers.may_begin_dialogue()
        if not may_begin:
            self._conn.try_next_auth(next_method=True)
            return
        await self.send_request(String(""), String(""))

    def _process_info_request(self, _kind: int, _number: int, packet: SSHPacket) -> None:
        self.create_task(self._answer(read_round(packet)))

    async def _answer(self, round_: Round) -> None:
        with self._ending_login():
            answers = await self.answers.answers(round_)
        if answers is None:
            self._conn.try_next_auth(next_method=True)
            return
        fields = b"".join(String(answer.reveal()) for answer in answers)
        with self._hidden_length():
            self.send_packet(
                MSG_USERAUTH_INFO_RESPONSE, UInt32(len(answers)), fields, trivial=not answers
            )

    _packet_handlers = {  # noqa: RUF012  asyncssh's table
        MSG_USERAUTH_INFO_REQUEST: _process_info_request
    }


SECRET_METHODS: dict[str, type[ClientAuth]] = {
    PASSWORD: PasswordMethod,
    KEYBOARD_INTERACTIVE: KeyboardInteractiveMethod,
}
"""The methods that need LoginAnswers."""


def read_round(packet: SSHPacket) -> Round:
    """Return the round of an SSH_MSG_USERAUTH_INFO_REQUEST (RFC 4256 section 3.2).

    Raises PacketDecodeError.
    """
    name, instruction = _text(packet.get_string()), _text(packet.get_string())
    packet.get_string()  # the language
    count = min(packet.get_uint32(), MAX_PROMPTS + 1)  # more are refused
    prompts = [(_text(packet.get_string()), packet.get_boolean()) for _ in range(count)]
    return Round(name, instruction, tuple(prompts))


def _text(data: bytes) -> str:
    """Decode a text of the server. Bytes that are not UTF-8 become backslash escapes."""
    return data.decode("utf-8", "backslashreplace")
