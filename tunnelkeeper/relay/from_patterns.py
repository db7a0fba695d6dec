"""Matching of the patterns of from= in authorized_keys. Nothing is resolved here.

It follows match_host_and_ip() in OpenSSH's match.c: the address is compared with each pattern as
CIDR or wildcards, the host name as wildcards. A negated pattern that matches either one refuses;
otherwise one match is enough. It is stricter than sshd: a netmask that is not a CIDR length makes
the whole list match nothing (in sshd, only that pattern), and an IPv4-mapped network means the IPv4
network.
"""

from __future__ import annotations

from ipaddress import IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from tunnelkeeper.core import wildcards
from tunnelkeeper.core.text import printable
from tunnelkeeper.relay import addresses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.relay.addresses import IPAddress, IPNetwork

_IPV4_MAPPED = IPv6Network("::ffff:0:0/96")


class PatternError(ValueError):
    """Raised for an invalid pattern; the text gives the reason."""


def matches(patterns: Iterable[str], address: str, hostname: str | None) -> bool:
    """Return whether patterns match a client. address: the peer's IP address.

    hostname: the resolved name; None: the address is used as the name as well, as in sshd without
    UseDNS. A list with an invalid pattern matches no client.
    """
    try:
        peer = addresses.parse(address)
        host = (hostname or str(peer)).lower().removesuffix(".")
        found = [
            (pattern.startswith("!"), _matches_one(pattern, peer, host)) for pattern in patterns
        ]
    except ValueError:
        return False
    if any(negated and fit for negated, fit in found):
        return False
    return any(fit for _, fit in found)


def check(pattern: str) -> None:
    """Check one pattern as written in a file.

    Raises PatternError if it can match nothing, or not what was meant.
    """
    bare = pattern.removeprefix("!")
    if not bare or not bare.isprintable() or " " in bare:
        raise PatternError(f"expected a host, an address or a network, got {_quoted(pattern)}")
    _network(bare)


def _matches_one(pattern: str, peer: IPAddress, host: str) -> bool:
    """Return whether a pattern matches a peer, regardless of its negation."""
    check(pattern)
    bare = pattern.removeprefix("!").lower()
    network = _network(bare)
    if network is not None:
        return peer in network
    return wildcards.matches(str(peer), bare) or wildcards.matches(host, bare)


def _network(pattern: str) -> IPNetwork | None:
    """Return the network of an address[/length] pattern; None for a host pattern.

    Raises PatternError.
    """
    address, slash, length = pattern.partition("/")
    try:
        ip_address(address)
    except ValueError:
        if slash:
            raise PatternError(f"expected address/length, got {_quoted(pattern)}") from None
        return None
    if slash and not (length.isascii() and length.isdecimal()):
        raise PatternError(f"expected a length in bits after '/', got {_quoted(pattern)}")
    try:
        network = ip_network(pattern)
    except ValueError as error:
        raise PatternError(f"not a network: {printable(str(error), 100)}") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_IPV4_MAPPED):
        mapped = int(network.network_address) & 0xFFFFFFFF
        return ip_network((mapped, network.prefixlen - 96))
    return network


def _quoted(text: str) -> str:
    return f"'{printable(text, 80)}'"
