"""Where a key may be used from: the patterns of from= in authorized_keys; nothing is looked up.

As match_host_and_ip() of OpenSSH's match.c: the address is held against every pattern as CIDR or
wildcards, the host name as wildcards; a negated pattern that matches either refuses at once, and
else one match of either is enough. Stricter than sshd: a netmask that is no CIDR length makes the
whole list match nothing (there, only the pattern), and an IPv4-mapped network means its IPv4 one.
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
    """A pattern is none; the text says why."""


def matches(patterns: Iterable[str], address: str, hostname: str | None) -> bool:
    """Whether a client may come from here. address: the peer's IP address.

    hostname: its name, where it was looked up; None: as sshd without UseDNS, the address serves
    for the name as well. A list with a bad pattern matches nobody.
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
    """Look at one pattern as a file holds it.

    Raises SourceError where it can match nothing, or not what was meant.
    """
    bare = pattern.removeprefix("!")
    if not bare or not bare.isprintable() or " " in bare:
        raise PatternError(f"expected a host, an address or a network, got {_quoted(pattern)}")
    _network(bare)


def _matches_one(pattern: str, peer: IPAddress, host: str) -> bool:
    """Whether a pattern, its negation left aside, is for this peer."""
    check(pattern)
    bare = pattern.removeprefix("!").lower()
    network = _network(bare)
    if network is not None:
        return peer in network
    return wildcards.matches(str(peer), bare) or wildcards.matches(host, bare)


def _network(pattern: str) -> IPNetwork | None:
    """The network that a pattern writes as address[/length]; None where it names hosts.

    Raises SourceError.
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
