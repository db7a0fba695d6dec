"""Messages with text of the peer, read in any encoding.

RFC 4250 to 4254 ask for UTF-8 texts, ASCII names and language tags (RFC 5646). Servers and clients
send others, such as a Latin-1 banner; OpenSSH accepts them. asyncssh 2.24.1 ends the connection.
The handlers here rewrite such a message and leave the rest to asyncssh's handler. A name that is
not ASCII becomes an unknown name, so that its request fails and the connection stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncssh.channel import SSHChannel
from asyncssh.connection import SSHConnection
from asyncssh.constants import (
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_DEBUG,
    MSG_DISCONNECT,
    MSG_GLOBAL_REQUEST,
    MSG_USERAUTH_BANNER,
    OPEN_CONNECT_FAILED,
)
from asyncssh.misc import ProtocolError
from asyncssh.packet import PacketDecodeError, SSHPacket, String
from asyncssh.saslprep import SASLPrepError, saslprep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FIELDS_BEFORE_TEXT = {
    MSG_DISCONNECT: 4,  # reason code, RFC 4253 section 11.1
    MSG_DEBUG: 1,  # always_display, RFC 4253 section 11.3
    MSG_USERAUTH_BANNER: 0,  # RFC 4252 section 5.4
    MSG_CHANNEL_OPEN_FAILURE: 8,  # recipient channel and reason code, RFC 4254 section 5.1
}
"""Bytes of a message between its number and its text, by message."""

_CHANNEL_FIELDS_SIZE = 12  # sender channel, window and packet size, RFC 4254 section 5.1

_OPEN_FIELDS: Mapping[bytes, str] = {
    b"direct-tcpip": "text number text",  # RFC 4254 section 7.2
    b"forwarded-tcpip": "text number text",
    b"x11": "text",  # RFC 4254 section 6.3.2
    b"direct-streamlocal@openssh.com": "text",  # OpenSSH's PROTOCOL, section 2.4
    b"forwarded-streamlocal@openssh.com": "text",
}
"""The fields up to the last text of a channel's type."""

_REQUEST_FIELDS: Mapping[bytes, str] = {
    b"exit-signal": "name flag text tag",  # RFC 4254 section 6.10
    b"signal": "name",  # RFC 4254 section 6.9
    b"exec": "text",  # RFC 4254 section 6.5
    b"subsystem": "name",
    b"pty-req": "name",  # RFC 4254 section 6.2
}
"""The fields up to the last text of a channel request."""

_KEEPALIVE = b"keepalive@openssh.com"
_UNKNOWN_REQUESTS = {_KEEPALIVE, b"xon-xoff"}
"""Channel requests whose fields asyncssh checks. OpenSSH refuses them, and reads no field."""

_SIZES = {"number": 4, "flag": 1}

USER_NAME_LIMIT = 255
"""Bytes of a user name that is rewritten. asyncssh ends the connection at 1024."""


def readable(text: bytes) -> bytes:
    """Return a text as UTF-8, with bytes that are not UTF-8 escaped with backslashes."""
    return text.decode("utf-8", "backslashreplace").encode()


def ascii_name(name: bytes) -> bytes:
    """Return a name as ASCII, with other bytes escaped with backslashes."""
    return name.decode("ascii", "backslashreplace").encode("ascii")


def user_name(name: bytes) -> bytes:
    """Return a user name that asyncssh accepts. One that it would not accept is escaped."""
    try:
        text = name.decode("utf-8", "backslashreplace")
        saslprep(text)  # RFC 4013 forbids control characters, for example
    except SASLPrepError:
        text = text.encode("unicode_escape").decode("ascii")
    encoded = text.encode()
    return encoded if encoded == name and len(name) < 1024 else encoded[:USER_NAME_LIMIT]


def with_readable_open(packet: SSHPacket) -> SSHPacket:
    """Return a CHANNEL_OPEN with an ASCII type and readable texts."""
    kind = packet.get_string()
    fields = packet.get_bytes(_CHANNEL_FIELDS_SIZE)
    rest = _rewritten(packet.get_remaining_payload(), _OPEN_FIELDS.get(kind, ""))
    return SSHPacket(String(ascii_name(kind)) + fields + rest)


def with_ascii_name(packet: SSHPacket) -> SSHPacket:
    """Return a global request with an ASCII name, and a keepalive without unknown fields."""
    name = packet.get_string()
    fields = packet.get_bytes(1) if name == _KEEPALIVE else packet.get_remaining_payload()
    return SSHPacket(String(ascii_name(name)) + fields)


def with_readable_user(packet: SSHPacket) -> SSHPacket:
    """Return a USERAUTH_REQUEST with a user name that asyncssh accepts (RFC 4252 section 5).

    A signature covers the original message, so it does not match one that was rewritten.
    """
    ahead = SSHPacket(packet.get_remaining_payload())
    name = ahead.get_string()
    accepted = user_name(name)
    if accepted == name:
        return packet
    return SSHPacket(String(accepted) + ahead.get_remaining_payload())


def process_channel_request(channel: Any, pkttype: int, pktid: int, packet: SSHPacket) -> Any:
    """Handle a CHANNEL_REQUEST whose names and texts are in any encoding."""
    name, want_reply = packet.get_string(), packet.get_bytes(1)
    rest = _rewritten(packet.get_remaining_payload(), _REQUEST_FIELDS.get(name, ""))
    known = b"unknown" if name in _UNKNOWN_REQUESTS else ascii_name(name)
    rewritten = SSHPacket(String(known) + want_reply + rest)
    handle: Any = SSHChannel._packet_handlers[MSG_CHANNEL_REQUEST]  # noqa: SLF001
    return handle(channel, pkttype, pktid, rewritten)


def process_channel_open(transport: Any, pkttype: int, pktid: int, packet: SSHPacket) -> None:
    """Handle a CHANNEL_OPEN of a server. A malformed one is refused, as the OpenSSH client does."""
    rewritten = with_readable_open(packet)
    ahead = SSHPacket(rewritten.get_remaining_payload())
    ahead.get_string()
    number = ahead.get_uint32()
    try:
        SSHConnection._packet_handlers[MSG_CHANNEL_OPEN](transport, pkttype, pktid, rewritten)  # noqa: SLF001
    except (PacketDecodeError, ProtocolError):
        transport.send_channel_open_failure(number, OPEN_CONNECT_FAILED, "malformed request", "en")


def _rewritten(payload: bytes, fields: str) -> bytes:
    """Return a payload with readable fields. A malformed one is left to asyncssh's handler."""
    packet, parts = SSHPacket(payload), list[bytes]()
    try:
        for field in fields.split():
            match field:
                case "text":
                    parts.append(String(readable(packet.get_string())))
                case "name":
                    parts.append(String(ascii_name(packet.get_string())))
                case "tag":
                    packet.get_string()
                    parts.append(String(b""))
                case _:
                    parts.append(packet.get_bytes(_SIZES[field]))
    except PacketDecodeError:
        return payload
    return b"".join(parts) + packet.get_remaining_payload()


def _tolerant(number: int) -> Callable[[Any, int, int, SSHPacket], Any]:
    """Return a handler that rewrites the text and drops the language tag."""
    length = _FIELDS_BEFORE_TEXT[number]

    def rewrite(packet: SSHPacket) -> SSHPacket:
        before, text = packet.get_bytes(length), packet.get_string()
        packet.get_string()  # the language tag
        rest = packet.get_remaining_payload()
        return SSHPacket(before + String(readable(text)) + String(b"") + rest)

    return _rewriting(number, rewrite)


def _rewriting(
    number: int, rewrite: Callable[[SSHPacket], SSHPacket]
) -> Callable[[Any, int, int, SSHPacket], Any]:
    """Return a handler that passes a rewritten message to asyncssh's handler."""
    handle: Any = SSHConnection._packet_handlers[number]  # noqa: SLF001

    def process(transport: Any, pkttype: int, pktid: int, packet: SSHPacket) -> Any:
        return handle(transport, pkttype, pktid, rewrite(packet))

    return process


TEXT_HANDLERS = {number: _tolerant(number) for number in _FIELDS_BEFORE_TEXT} | {
    MSG_GLOBAL_REQUEST: _rewriting(MSG_GLOBAL_REQUEST, with_ascii_name),
    MSG_CHANNEL_OPEN: process_channel_open,
}
"""Entries for the `_packet_handlers` of a connection."""

REQUEST_HANDLERS = {MSG_CHANNEL_REQUEST: process_channel_request}
"""Entries for the `_packet_handlers` of a channel."""
