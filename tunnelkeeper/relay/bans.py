"""Bans: addresses, networks and keys that an administrator keeps out. It has no clock and no files.

A ban is found without a scan of all of them, since every connection asks. Times are in UTC.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

from tunnelkeeper.core.message import HintedError
from tunnelkeeper.core.text import printable
from tunnelkeeper.relay import addresses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.relay.addresses import IPAddress, IPNetwork

MAX_BANS = 10_000
"""Bans at the same time; more belong into a firewall."""

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_MAPPED_BITS = 96  # RFC 4291 section 2.5.5.2: ::ffff:0:0/96 holds the IPv4 addresses


class BanTargetError(ValueError):
    """Raised for a text that is no address, network or fingerprint."""


class TooManyBansError(HintedError):
    """Raised instead of adding a ban beyond MAX_BANS."""


Target = IPv4Network | IPv6Network | str
"""A network, of which an address is the smallest, or the fingerprint of a key."""


@dataclass(frozen=True, slots=True)
class Ban:
    """target: what is kept out. since: its beginning. until: its end; None: no end."""

    target: Target
    since: datetime
    until: datetime | None = None

    def __str__(self) -> str:
        return format_target(self.target)

    def is_over(self, now: datetime) -> bool:
        """Return whether the ban has ended."""
        return self.until is not None and self.until <= now


def is_fingerprint(text: str) -> bool:
    """Return whether a text is the SHA256 fingerprint of a key, as ssh-keygen -l prints it."""
    return _FINGERPRINT.fullmatch(text) is not None


def parse_target(text: str) -> Target:
    """Parse an address, a network in CIDR notation or a fingerprint.

    Bits of the host part of a network are ignored. Raises BanTargetError.
    """
    if is_fingerprint(text):
        return text
    try:
        if "/" not in text:
            return ip_network(addresses.parse(text))
        return _unmapped(ip_network(text, strict=False))
    except ValueError:
        shown = printable(text, 80)
        raise BanTargetError(
            "expected an address, a network such as 203.0.113.0/24 or a fingerprint "
            f"such as SHA256:..., got '{shown}'"
        ) from None


def format_target(target: Target) -> str:
    """Return a target as text. A network of one address is shown as the address."""
    if isinstance(target, str) or target.num_addresses > 1:
        return str(target)
    return str(target.network_address)


def end_of(now: datetime, seconds: float | None) -> datetime | None:
    """Return the end of a ban; None for one without an end, or beyond the calendar."""
    if seconds is None:
        return None
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        return None


class BanList:
    """The current bans."""

    def __init__(self, bans: Iterable[Ban] = ()) -> None:
        self._bans: dict[Target, Ban] = {}
        self._prefixes: Counter[tuple[int, int]] = Counter()  # (address family, length): networks
        for ban in bans:
            self._insert(ban)

    def __len__(self) -> int:
        return len(self._bans)

    def current(self, now: datetime) -> list[Ban]:
        """Return the bans that are in force, oldest first; drop the others."""
        for ban in [ban for ban in self._bans.values() if ban.is_over(now)]:
            self.remove(ban.target)
        return list(self._bans.values())

    def add(self, ban: Ban) -> None:
        """Add a ban, or change the end of the one of the same target.

        Raises TooManyBansError without changing anything.
        """
        existing = self._bans.get(ban.target)
        if existing is not None and not existing.is_over(ban.since):
            self._bans[ban.target] = replace(existing, until=ban.until)
            return
        if len(self.current(ban.since)) >= MAX_BANS:
            raise TooManyBansError(
                f"{MAX_BANS} bans are in force", "remove some, ban networks, or use a firewall"
            )
        self._insert(ban)

    def remove(self, target: Target) -> bool:
        """Remove the ban of exactly this target; return whether it existed."""
        if self._bans.pop(target, None) is None:
            return False
        if not isinstance(target, str):
            prefix = (target.version, target.prefixlen)
            self._prefixes[prefix] -= 1
            if not self._prefixes[prefix]:
                del self._prefixes[prefix]
        return True

    def of_address(self, host: str, now: datetime) -> Ban | None:
        """Return the ban of a client's address; None if it is not an IP address."""
        try:
            address = addresses.parse(host)
        except ValueError:
            return None
        for version, length in self._prefixes:
            if version == address.version:
                ban = self._bans.get(_network(address, length))
                if ban is not None and not ban.is_over(now):
                    return ban
        return None

    def of_key(self, fingerprints: Iterable[str], now: datetime) -> Ban | None:
        """Return the ban of one of some fingerprints."""
        for fingerprint in fingerprints:
            ban = self._bans.get(fingerprint)
            if ban is not None and not ban.is_over(now):
                return ban
        return None

    def refuses(self, host: str, fingerprints: Iterable[str], now: datetime) -> Ban | None:
        """Return the ban that keeps a client with an address and a key out, or None."""
        return self.of_address(host, now) or self.of_key(fingerprints, now)

    def _insert(self, ban: Ban) -> None:
        self.remove(ban.target)
        self._bans[ban.target] = ban
        if not isinstance(ban.target, str):
            self._prefixes[ban.target.version, ban.target.prefixlen] += 1


def _network(address: IPAddress, length: int) -> IPNetwork:
    """Return the network of an address with a length that exists in its family."""
    kind = IPv4Network if address.version == 4 else IPv6Network
    return kind((int(address), length), strict=False)


def _unmapped(network: IPNetwork) -> IPNetwork:
    """Return the IPv4 network that an IPv6 network of mapped addresses stands for."""
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


def ban_of(text: str, since: str, until: str | None) -> Ban:
    """Return the ban that a file describes, with times in ISO 8601. Raises ValueError."""
    return Ban(parse_target(text), _moment(since), None if until is None else _moment(until))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"expected a time with its zone, got '{printable(text, 40)}'")
    return moment.astimezone(UTC)
