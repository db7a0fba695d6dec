"""Alternative spellings of an IP address, and IPv6 addresses that are translated to IPv4."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address


def of_ipv4(address: IPv4Address) -> list[str]:
    """Return the addresses of a resolver or client that reach an IPv4 address."""
    bits = int(address)
    high, low = bits >> 16, bits & 0xFFFF
    return [
        str(address),
        f"::ffff:{address}",
        f"::FFFF:{high:x}:{low:x}",
        f"0:0:0:0:0:ffff:{high:04x}:{low:04x}",
        f"::ffff:{address}%eth0",
        f"::{address}",  # IPv4-compatible
        f"::ffff:0:{address}",  # IPv4-translated
        f"64:ff9b::{address}",  # NAT64
        f"64:ff9b:1::{address}",  # local NAT64, with any prefix length
        f"64:ff9b:1:{high:x}:{low >> 8:x}:{(low & 0xFF) << 8:x}::",
        f"2002:{high:x}:{low:x}::1",  # 6to4
        str(
            IPv6Address(0x20010000 << 96 | 0xC0000201 << 64 | bits ^ 0xFFFFFFFF)
        ),  # Teredo's client
        str(IPv6Address(0x20010000 << 96 | bits << 64 | 0x3FFFFDFE)),  # Teredo's server
        f"2001:db8::5efe:{address}",  # ISATAP
        f"2001:db8::200:5efe:{address}",
    ]


def of_ipv6(address: IPv6Address) -> list[str]:
    return [
        str(address),
        address.exploded,
        address.exploded.upper(),
        f"{address}%eth0",
        ":".join(f"{int(group, 16):x}" for group in address.exploded.split(":")),
    ]
