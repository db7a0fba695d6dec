"""Bind addresses as ssh reads them: the sockets each one stands for, and which two conflict.

ssh(1), -L: `localhost` is the loopback interface, `*` and an empty bind address are every
interface. This module resolves no names and opens no sockets.
"""

from __future__ import annotations

import ipaddress
from posixpath import normpath
from socket import AF_INET, AF_INET6

from msgspec import Struct

from tunnelkeeper.core.forward_spec import EVERY_INTERFACE, LOOPBACK, Address, TcpAddress

ANY_IPV4 = "0.0.0.0"  # noqa: S104  a user asks for it by name
ANY_IPV6 = "::"
"""The wildcard addresses: INADDR_ANY of ip(7) and in6addr_any of ipv6(7)."""


class BindAddress(Struct, frozen=True):
    """The address of one socket. is_optional: a machine without IPv6 does not have it."""

    family: int
    host: str
    is_optional: bool = False


_LOOPBACK = (
    BindAddress(AF_INET, "127.0.0.1"),
    BindAddress(AF_INET6, "::1", is_optional=True),
)
_EVERY_INTERFACE = (
    BindAddress(AF_INET, ANY_IPV4),
    BindAddress(AF_INET6, ANY_IPV6, is_optional=True),
)


def special_addresses(host: str) -> tuple[BindAddress, ...]:
    """Return the addresses that `localhost`, `*` or an empty host stands for; of others, none."""
    if host.lower() == LOOPBACK:
        return _LOOPBACK
    if host in {EVERY_INTERFACE, ""}:
        return _EVERY_INTERFACE
    return ()


def bind_addresses(host: str) -> tuple[BindAddress, ...]:
    """Return the address of each socket that listening on a host takes.

    A host that is neither special nor an address is returned unresolved, as IPv4.
    """
    family = AF_INET6 if ":" in host else AF_INET
    return special_addresses(host) or (BindAddress(family, host),)


def overlap(first: Address, second: Address) -> bool:
    """Return whether two addresses cannot be listened on at the same time.

    Port 0 overlaps nothing: the system chooses a free port for it.
    """
    if conflict_key(first) != conflict_key(second):
        return False
    if isinstance(first, TcpAddress) and isinstance(second, TcpAddress):
        return first.port != 0 and any(
            _covers(one, other) or _covers(other, one)
            for one in _normalized(first.host)
            for other in _normalized(second.host)
        )
    return True


def conflict_key(address: Address) -> int | str:
    """Return what two addresses that overlap always share: the port or the path."""
    if isinstance(address, TcpAddress):
        return address.port
    return normpath(address.path)


def _normalized(host: str) -> list[str]:
    """Return the addresses to bind for a host, in one spelling; a name stands for itself."""
    hosts = [address.host for address in bind_addresses(host)]
    try:
        return [str(ipaddress.ip_address(bound)) for bound in hosts]
    except ValueError:
        return [host.lower()]


def _covers(bound: str, host: str) -> bool:
    """Return whether a socket on one address also takes the clients of another."""
    # The family of a host name is unknown. One with a dot counts as IPv4.
    return (
        bound == host
        or (bound == ANY_IPV4 and ":" not in host)
        or (bound == ANY_IPV6 and "." not in host)
    )
