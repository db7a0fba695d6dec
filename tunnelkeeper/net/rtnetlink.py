"""A parser for the address and route messages of Linux (rtnetlink(7)); it opens no socket.

Malformed messages are skipped. They come from the kernel, and a message that this program does not
understand must not hide the others.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

# linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h
DONE, ERROR = 3, 2
NEW_ADDRESS, GET_ADDRESS = 20, 22
NEW_ROUTE, GET_ROUTE = 24, 26
NEW_RULE, GET_RULE = 32, 34
CHANGES = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x40000
"""The multicast groups for links, and for addresses, routes and rules of IPv4 and IPv6."""

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix, flags, scope, link
_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg: family, destination's and source's prefix, tos, ...
_NEXT_HOP = struct.Struct("=HBBI")  # rtnexthop: length, flags, hops, link
_NUMBER, _SHORT = struct.Struct("=I"), struct.Struct("=H")

_REQUEST, _REQUEST_DUMP = 0x1, 0x301  # NLM_F_REQUEST, and with NLM_F_DUMP
_NESTED = 0xC000  # NLA_F_NESTED | NLA_F_NET_BYTEORDER, in an attribute's type
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_RTA_DST, _RTA_SRC, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC = 1, 2, 4, 5, 6, 7
_RTA_MULTIPATH, _RTA_TABLE, _RTA_VIA = 9, 15, 18
_TEMPORARY, _DUPLICATE, _TENTATIVE = 0x01, 0x08, 0x40  # 0x01 is IFA_F_SECONDARY for IPv4
_CLONED, _BY_KERNEL = 0x200, 2
_TYPES = {1: "", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole"}
_TYPES |= {7: "unreachable", 8: "prohibit", 9: "throw", 10: "nat", 11: "xresolve"}
_OWN_TYPES = frozenset({2, 4})  # an anycast address of the machine is its own, too
_LINK_SCOPE = 253  # RT_SCOPE_LINK; higher scopes are narrower
MAIN_TABLE = 254
_LENGTHS: dict[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 16}


class Address(Struct, frozen=True):
    """An address of a link. is_lasting: wider than link scope, neither temporary nor tentative."""

    text: str
    link: int
    is_lasting: bool


class Route(Struct, frozen=True):
    """A route. is_kernel_made: the kernel added it for an address.

    hops: the link and the gateway (may be empty) of each next hop.
    type: the type as ip-route(8) prints it; empty for a unicast route.
    source: the network that the route is limited to. preferred_source: the address to send from.
    """

    destination: str
    hops: tuple[tuple[int, str], ...]
    is_kernel_made: bool
    metric: int = 0
    table: int = MAIN_TABLE
    type: str = ""
    source: str = ""
    preferred_source: str = ""
    tos: int = 0


def dump_request(kind: int, sequence: int) -> bytes:
    """Return the request for all addresses, routes or rules of every family."""
    body = _NUMBER.pack(0)  # rtgenmsg, padded: AF_UNSPEC
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_DUMP, sequence, 0) + body


def route_request(address: str, sequence: int) -> bytes:
    """Return the request for the route that a packet of this machine to an address would take."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    body = _ROUTE.pack(family, 8 * len(packed), 0, 0, 0, 0, 0, 0, 0)
    body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(packed), _RTA_DST) + packed
    return _HEADER.pack(_HEADER.size + len(body), GET_ROUTE, _REQUEST, sequence, 0) + body


def is_local_route(body: bytes) -> bool:
    """Return whether the packets of a route message's route stay on this machine."""
    return len(body) >= _ROUTE.size and _ROUTE.unpack_from(body)[7] in _OWN_TYPES


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
    found = attributes(body[_ADDRESS.size :])
    text = _text(family, found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS, b"")))
    if text is None:
        return None
    flags = number(found.get(_IFA_FLAGS), flags)
    unready = _TENTATIVE | _DUPLICATE | (_TEMPORARY if family == socket.AF_INET6 else 0)
    return Address(text, link, is_lasting=scope < _LINK_SCOPE and not flags & unready)


def route(body: bytes) -> Route | None:
    """Parse a route message; return None if it is malformed or does not count.

    These do not count: the local, broadcast and multicast routes that the kernel adds with an
    address, link-local networks, and cached (cloned) routes.
    """
    if len(body) < _ROUTE.size:
        return None
    family, prefix, source_prefix, tos, table, protocol, _, kind, flags = _ROUTE.unpack_from(body)
    route_type = _TYPES.get(kind, f"type {kind}")
    is_by_kernel = protocol == _BY_KERNEL
    if family not in _LENGTHS or flags & _CLONED or (is_by_kernel and route_type):
        return None
    found = attributes(body[_ROUTE.size :])
    destination = network(family, found.get(_RTA_DST, b""), prefix)
    source = network(family, found.get(_RTA_SRC, b""), source_prefix)
    if destination is None or source is None or destination.startswith(("fe80:", "ff")):
        return None
    return Route(
        destination or ("default" if family == socket.AF_INET else "default (IPv6)"),
        tuple(sorted(_hops(family, found))),
        is_by_kernel and prefix > 0,
        number(found.get(_RTA_PRIORITY)),
        number(found.get(_RTA_TABLE), table),
        route_type,
        source,
        _text(family, found.get(_RTA_PREFSRC, b"")) or "",
        tos,
    )


def network(family: int, packed: bytes, prefix: int) -> str | None:
    """Return a network as text, "" for every address, or None if it is malformed."""
    if not prefix:
        return ""
    text = _text(family, packed)
    return None if text is None else f"{text}/{prefix}"


def attributes(data: bytes) -> dict[int, bytes]:
    """Parse the attributes after the head of a message, without an incomplete one at the end."""
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or at + length > len(data):
            break
        found[kind & ~_NESTED] = data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return found


def number(data: bytes | None, default: int = 0) -> int:
    """Return an attribute that is a number of 32 bits; return the default for another one."""
    return _NUMBER.unpack(data)[0] if data is not None and len(data) == 4 else default


def _hops(family: int, found: dict[int, bytes]) -> Iterator[tuple[int, str]]:
    if _RTA_OIF in found:
        yield number(found[_RTA_OIF]), _gateway(family, found)
    next_hops, at = found.get(_RTA_MULTIPATH, b""), 0
    while at + _NEXT_HOP.size <= len(next_hops):
        length, _, _, link = _NEXT_HOP.unpack_from(next_hops, at)
        if length < _NEXT_HOP.size:
            return
        yield link, _gateway(family, attributes(next_hops[at + _NEXT_HOP.size : at + length]))
        at += _aligned(length)


def _gateway(family: int, found: dict[int, bytes]) -> str:
    # RFC 5549: a gateway of the other family is an rtvia, which starts with the family.
    if len(found.get(_RTA_VIA, b"")) > _SHORT.size:
        via = found[_RTA_VIA]
        return _text(_SHORT.unpack_from(via)[0], via[2:]) or ""
    return _text(family, found.get(_RTA_GATEWAY, b"")) or ""


def _text(family: int, packed: bytes) -> str | None:
    if _LENGTHS.get(family) != len(packed):
        return None
    return socket.inet_ntop(family, packed)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
