"""A parser for the address and route messages of Linux (rtnetlink(7)); it opens no socket.

Malformed messages are skipped. They come from the kernel, and a message that this program does not
understand must not hide the others.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h
DONE, ERROR = 3, 2
NEW_ADDRESS, GET_ADDRESS = 20, 22
NEW_ROUTE, GET_ROUTE = 24, 26
CHANGES = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""The multicast groups for links, and for addresses and routes of IPv4 and IPv6."""

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix, flags, scope, link
_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg: family, destination's and source's prefix, tos, ...
_NEXT_HOP = struct.Struct("=HBBI")  # rtnexthop: length, flags, hops, link
_NUMBER, _SHORT = struct.Struct("=I"), struct.Struct("=H")

_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_NESTED = 0xC000  # NLA_F_NESTED | NLA_F_NET_BYTEORDER, in an attribute's type
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_MULTIPATH = 1, 4, 5, 6, 9
_RTA_TABLE, _RTA_VIA = 15, 18
_TEMPORARY, _DUPLICATE, _TENTATIVE = 0x01, 0x08, 0x40  # 0x01 is IFA_F_SECONDARY for IPv4
_UNICAST, _CLONED, _BY_KERNEL = 1, 0x200, 2
_LINK_SCOPE = 253  # RT_SCOPE_LINK; higher scopes are narrower
MAIN_TABLE = 254
_LENGTHS: dict[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 16}


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a link. is_lasting: wider than link scope, neither temporary nor tentative."""

    text: str
    link: int
    is_lasting: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A unicast route. is_kernel_made: the kernel added it for an address.

    hops: the link and the gateway (may be empty) of each next hop.
    """

    destination: str
    hops: tuple[tuple[int, str], ...]
    is_kernel_made: bool
    metric: int = 0
    table: int = MAIN_TABLE


def dump_request(kind: int, sequence: int) -> bytes:
    """Return the request for all addresses or all routes of every family."""
    body = _NUMBER.pack(0)  # rtgenmsg, padded: AF_UNSPEC
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_DUMP, sequence, 0) + body


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the type and body of each complete message of a datagram."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        yield kind, data[at + _HEADER.size : at + length]
        at += _aligned(length)


def address(body: bytes) -> Address | None:
    """Parse an address message; return None if it is malformed."""
    if len(body) < _ADDRESS.size:
        return None
    family, _, flags, scope, link = _ADDRESS.unpack_from(body)
    attributes = _attributes(body[_ADDRESS.size :])
    text = _text(family, attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS, b"")))
    if text is None:
        return None
    flags = _number(attributes.get(_IFA_FLAGS), flags)
    unready = _TENTATIVE | _DUPLICATE | (_TEMPORARY if family == socket.AF_INET6 else 0)
    return Address(text, link, is_lasting=scope < _LINK_SCOPE and not flags & unready)


def route(body: bytes) -> Route | None:
    """Parse a route message; return None if it is malformed or not a unicast route.

    Multicast routes, link-local networks and cached (cloned) routes are not returned either.
    """
    if len(body) < _ROUTE.size:
        return None
    family, prefix, _, _, table, protocol, _, kind, flags = _ROUTE.unpack_from(body)
    if kind != _UNICAST or flags & _CLONED:
        return None
    attributes = _attributes(body[_ROUTE.size :])
    destination = "default"
    if prefix:
        text = _text(family, attributes.get(_RTA_DST, b""))
        if text is None or text.startswith(("fe80:", "ff")):
            return None
        destination = f"{text}/{prefix}"
    elif family not in _LENGTHS:
        return None
    return Route(
        destination if family == socket.AF_INET or prefix else "default (IPv6)",
        tuple(sorted(_hops(family, attributes))),
        protocol == _BY_KERNEL and prefix > 0,
        _number(attributes.get(_RTA_PRIORITY)),
        _number(attributes.get(_RTA_TABLE), table),
    )


def _hops(family: int, attributes: dict[int, bytes]) -> Iterator[tuple[int, str]]:
    if _RTA_OIF in attributes:
        yield _number(attributes[_RTA_OIF]), _gateway(family, attributes)
    next_hops, at = attributes.get(_RTA_MULTIPATH, b""), 0
    while at + _NEXT_HOP.size <= len(next_hops):
        length, _, _, link = _NEXT_HOP.unpack_from(next_hops, at)
        if length < _NEXT_HOP.size:
            return
        yield link, _gateway(family, _attributes(next_hops[at + _NEXT_HOP.size : at + length]))
        at += _aligned(length)


def _gateway(family: int, attributes: dict[int, bytes]) -> str:
    # RFC 5549: a gateway of the other family is an rtvia, which starts with the family.
    if len(attributes.get(_RTA_VIA, b"")) > _SHORT.size:
        via = attributes[_RTA_VIA]
        return _text(_SHORT.unpack_from(via)[0], via[2:]) or ""
    return _text(family, attributes.get(_RTA_GATEWAY, b"")) or ""


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or at + length > len(data):
            break
        found[kind & ~_NESTED] = data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return found


def _text(family: int, packed: bytes) -> str | None:
    if _LENGTHS.get(family) != len(packed):
        return None
    return socket.inet_ntop(family, packed)


def _number(data: bytes | None, default: int = 0) -> int:
    return _NUMBER.unpack(data)[0] if data is not None and len(data) == 4 else default


def _aligned(length: int) -> int:
    return (length + 3) & ~3
