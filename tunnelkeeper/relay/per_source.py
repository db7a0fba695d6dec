"""PerSourceMaxStartups and PerSourceNetBlockSize of sshd_config(5): limits for one source.

A source is a block of addresses. Both are parsed as by sshd; nothing here counts connections.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tunnelkeeper.core.text import printable
from tunnelkeeper.relay import addresses
from tunnelkeeper.relay.max_startups import LimitError

_NET_BLOCK_SIZE = re.compile(r"(\d{1,3})(?::(\d{1,3}))?", re.ASCII)
_COUNT = re.compile(r"\d{1,6}", re.ASCII)


def parse_per_source_max_startups(text: str) -> int:
    """Parse `none` or a number of connections; 0 is none as well.

    Raises LimitError.
    """
    if text == "none":
        return 0
    if not _COUNT.fullmatch(text):
        shown = printable(text, 40)
        raise LimitError(f"expected 'none' or a number of connections, got '{shown}'")
    return int(text)


@dataclass(frozen=True, slots=True)
class NetBlockSize:
    """The leading bits of an address that name its source."""

    ipv4: int = 32
    ipv6: int = 128

    def __str__(self) -> str:
        return f"{self.ipv4}:{self.ipv6}"

    @classmethod
    def parse(cls, text: str) -> NetBlockSize:
        """Parse ipv4[:ipv6], each in bits.

        Raises LimitError.
        """
        match = _NET_BLOCK_SIZE.fullmatch(text)
        if match is None:
            shown = printable(text, 40)
            raise LimitError(f"expected bits for IPv4 and IPv6 such as 32:128, got '{shown}'")
        size = cls(int(match[1]), int(match[2] or cls().ipv6))
        if size.ipv4 > 32:
            raise LimitError(f"expected at most 32 bits for IPv4, got {size.ipv4}")
        if size.ipv6 > 128:
            raise LimitError(f"expected at most 128 bits for IPv6, got {size.ipv6}")
        return size

    def block_of(self, host: str) -> str:
        """Return the block of an address, such as 192.0.2.0/24; what is no address, unchanged."""
        try:
            address = addresses.parse(host)
        except ValueError:
            return host
        bits = self.ipv4 if address.version == 4 else self.ipv6
        if bits == address.max_prefixlen:
            return str(address)
        shift = address.max_prefixlen - bits
        return f"{type(address)(int(address) >> shift << shift)}/{bits}"


FAIR_BLOCK = NetBlockSize(32, 64)
"""What counts as one client when clients compete. One customer gets at least a /64 (RFC 6177)."""
