"""IP address parsing, and the ranges that lead to the relay itself or to its surroundings.

It knows ranges only: it resolves nothing and knows no client.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}")  # netdevice(7): IFNAMSIZ, less its final NUL


def parse(text: str) -> IPAddress:
    """Parse an address, without its zone (`%eth0`); an IPv4-mapped one becomes IPv4.

    Raises ValueError.
    """
    bare, percent, zone = text.partition("%")
    address = ip_address(bare)
    if percent and (address.version == 4 or not _ZONE.fullmatch(zone)):
        raise ValueError("no zone of an IPv6 address")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


_CLOSED_NETWORKS: tuple[tuple[str, tuple[IPNetwork, ...]], ...] = tuple(
    (what, tuple(map(ip_network, networks)))
    for what, networks in (
        ("the relay's own loopback", ("127.0.0.0/8", "::1/128")),
        # RFC 1122 section 3.2.1.3: Linux takes 0.0.0.0 and :: for itself.
        ("no address of any host", ("0.0.0.0/8", "::/128")),
        # Before link-local, which contains the first one, so that the message names the danger.
        (
            "a cloud's metadata service",
            (
                "169.254.169.254/32",  # AWS, Google, Azure and most others
                "169.254.170.2/32",  # AWS ECS
                "169.254.170.23/32",  # AWS EKS Pod Identity
                "fd00:ec2::/32",  # AWS over IPv6: ::254, and ::23 of EKS Pod Identity
                "fd20:ce::254/128",  # Google over IPv6
                "168.63.129.16/32",  # Azure's WireServer
                "192.0.0.192/32",  # Oracle
                "fd00:c1::a9fe:a9fe/128",  # Oracle over IPv6
                "169.254.42.42/32",  # Scaleway
                "fd00:42::42/128",  # Scaleway over IPv6
                "fd00:a9fe:a9fe::1/128",  # Akamai over IPv6
                "100.100.100.200/32",  # Alibaba
                "fd00:100::100:200/128",  # Alibaba over IPv6
                "169.254.0.23/32",  # Tencent
                "100.96.0.96/32",  # Volcano Engine
                "fe80::a9fe:a9fe/128",  # OpenStack over IPv6
            ),
        ),
        ("a link-local address", ("169.254.0.0/16", "fe80::/10")),  # RFC 3927, RFC 4291
        ("a multicast address", ("224.0.0.0/4", "ff00::/8")),  # RFC 5771, RFC 4291
        ("a broadcast address", ("255.255.255.255/32",)),  # RFC 919
    )
)

_PRIVATE_NETWORKS: tuple[IPNetwork, ...] = tuple(
    map(
        ip_network,
        (
            "10.0.0.0/8",  # RFC 1918
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",  # RFC 6598: carriers, and VPNs such as Tailscale
            "192.0.0.0/24",  # RFC 6890
            "198.18.0.0/15",  # RFC 2544
            "240.0.0.0/4",  # RFC 1112; some clouds use it inside
            "fc00::/7",  # RFC 4193
            "fec0::/10",  # RFC 3879
        ),
    )
)

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")  # RFC 8215
_IPV4_COMPATIBLE = IPv6Network("::/96")  # RFC 4291 section 2.5.5.1
_IPV4_TRANSLATED = IPv6Network("::ffff:0:0:0/96")  # RFC 2765 section 2.1
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})  # RFC 5214 section 6.1
_IPV4_BITS = 0xFFFFFFFF


def closed_reason(address: IPAddress, own: Collection[IPAddress] = ()) -> str | None:
    """Return why clients must not reach an address through the relay, or None if they may.

    own: the addresses that are the relay's own. An IPv6 address that a gateway translates to a
    closed IPv4 address (NAT64, SIIT, 6to4, Teredo, ISATAP) is closed as well.
    """
    for candidate in reached_addresses(address):
        if candidate in own:
            return "the relay's own address"
        for what, networks in _CLOSED_NETWORKS:
            if any(candidate in network for network in networks):
                return what
    return None


def is_private(address: IPAddress) -> bool:
    """Return whether an address is in a private network, or is translated to one that is."""
    return any(
        candidate in network
        for candidate in reached_addresses(address)
        for network in _PRIVATE_NETWORKS
    )


def reached_addresses(address: IPAddress) -> tuple[IPAddress, ...]:
    """Return an address and the addresses that a gateway may translate it to."""
    return (address, *_embedded_ipv4(address))


def _embedded_ipv4(address: IPAddress) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that any translation mechanism reads out of an IPv6 address."""
    if isinstance(address, IPv4Address):
        return ()
    bits = int(address)
    last = IPv4Address(bits & _IPV4_BITS)
    carried: list[IPv4Address] = []
    is_in_last_bits = any(
        address in network for network in (_NAT64, _IPV4_COMPATIBLE, _IPV4_TRANSLATED)
    )
    if is_in_last_bits or (bits >> 32) & _IPV4_BITS in _ISATAP:
        carried.append(last)
    if address in _LOCAL_NAT64:
        # RFC 6052 section 2.2: after a 48-bit prefix, the address is split around bit 64.
        halves = (bits >> 64 & 0xFFFF) << 16 | bits >> 40 & 0xFFFF
        carried += [last, IPv4Address(halves)]
    if address.sixtofour is not None:
        carried.append(address.sixtofour)
    if address.teredo is not None:
        carried += address.teredo
    return tuple(carried)
