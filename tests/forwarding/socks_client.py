"""The messages of a SOCKS client, and the result of a handshake that receives them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from tunnelkeeper.forwarding.socks import Handshake

if TYPE_CHECKING:
    from tunnelkeeper.core.forward_spec import TcpAddress

GREETING = b"\x05\x01\x00"
SELECTED = b"\x05\x00"
LONGEST_REQUEST = 520  # SOCKS4a: 8 bytes, then a user id and a name of 255 bytes and a NUL each


def socks4(
    ip: str = "192.0.2.1",
    port: int = 80,
    *,
    user: bytes = b"",
    name: bytes | None = None,
    command: int = 1,
) -> bytes:
    fixed = bytes([4, command]) + port.to_bytes(2) + IPv4Address(ip).packed
    return fixed + user + b"\0" + (b"" if name is None else name + b"\0")


def socks4a(name: bytes, port: int = 80, user: bytes = b"") -> bytes:
    return socks4("0.0.0.1", port, user=user, name=name)


def socks5(address_type: int, address: bytes, port: int = 80, command: int = 1) -> bytes:
    return bytes([5, command, 0, address_type]) + address + port.to_bytes(2)


def socks5_name(name: bytes, port: int = 80) -> bytes:
    return socks5(3, bytes([len(name)]) + name, port)


@dataclass(frozen=True)
class Result:
    reply: bytes
    request: TcpAddress | None
    rejection: str | None
    leftover: bytes


INCOMPLETE = Result(b"", None, None, b"")


def play(*chunks: bytes) -> Result:
    handshake = Handshake()
    reply = b"".join(handshake.receive(chunk) for chunk in chunks)
    return Result(reply, handshake.request, handshake.rejection, handshake.leftover)
