"""Messages with text of the peer, read in any encoding.

RFC 4250 to 4254 ask for UTF-8 texts and ASCII language tags (RFC 5646). Servers send others, such
as a Latin-1 banner; ssh accepts them. asyncssh 2.24.1 ends the connection. The handlers here
rewrite such a message and leave the rest to asyncssh's handler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncssh.connection import SSHConnection
from asyncssh.constants import (
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_DEBUG,
    MSG_DISCONNECT,
    MSG_USERAUTH_BANNER,
)
from asyncssh.packet import SSHPacket, String

if TYPE_CHECKING:
    from collections.abc import Callable

_FIELDS_BEFORE_TEXT = {
    MSG_DISCONNECT: 4,  # reason code, RFC 4253 section 11.1
    MSG_DEBUG: 1,  # always_display, RFC 4253 section 11.3
    MSG_USERAUTH_BANNER: 0,  # RFC 4252 section 5.4
    MSG_CHANNEL_OPEN_FAILURE: 8,  # recipient channel and reason code, RFC 4254 section 5.1
}
"""Bytes of a message between its number and its text, by message."""


def readable(text: bytes) -> bytes:
    """Return a text as UTF-8, with bytes that are not UTF-8 escaped with backslashes."""
    return text.decode("utf-8", "backslashreplace").encode()


def _tolerant(number: int) -> Callable[[Any, int, int, SSHPacket], Any]:
    """Return a handler that rewrites the text and drops the language tag."""
    handle: Any = SSHConnection._packet_handlers[number]  # noqa: SLF001
    length = _FIELDS_BEFORE_TEXT[number]

    def process(transport: Any, pkttype: int, pktid: int, packet: SSHPacket) -> Any:
        before, text = packet.get_bytes(length), packet.get_string()
        packet.get_string()  # the language tag
        rest = packet.get_remaining_payload()
        rewritten = SSHPacket(before + String(readable(text)) + String(b"") + rest)
        return handle(transport, pkttype, pktid, rewritten)

    return process


TEXT_HANDLERS = {number: _tolerant(number) for number in _FIELDS_BEFORE_TEXT}
"""Entries for the `_packet_handlers` of a connection."""
