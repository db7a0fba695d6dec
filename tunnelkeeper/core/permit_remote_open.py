"""PermitRemoteOpen of ssh_config(5): the targets that clients of a SOCKS proxy on the server reach.

The rules are those of ssh: a target is compared as the client names it, without a lookup, and a
host is compared exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tunnelkeeper.core.ssh_values import ValueFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.forward_spec import TcpAddress

ANY = "any"
NONE = "none"
WILDCARD = "*"


class PermitRule(Struct, frozen=True):
    """A permitted target. host: `*` for every host. port: None for every port."""

    host: str
    port: int | None

    def permits(self, target: TcpAddress) -> bool:
        """Return whether a target is permitted."""
        return self.host in {WILDCARD, target.host} and self.port in {None, target.port}


PermitRules = tuple[PermitRule, ...] | None
"""None: every target is permitted. An empty tuple: none is."""


def parse_permits(words: Sequence[str]) -> PermitRules:
    """Parse `host:port`, `[IPv6]:port`, or one of `any` and `none` alone. No words mean `any`.

    Raises:
        ValueFormatError: A word is invalid.
    """
    if not words:
        return None
    if len(words) == 1 and words[0].lower() in {ANY, NONE}:
        return None if words[0].lower() == ANY else ()
    return tuple(_parse_rule(word) for word in words)


def is_permitted(rules: PermitRules, target: TcpAddress) -> bool:
    """Return whether the rules permit a target."""
    return rules is None or any(rule.permits(target) for rule in rules)


def _parse_rule(word: str) -> PermitRule:
    host, colon, port = word.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not (colon and host) or any(character in host for character in "[]/ "):
        raise ValueFormatError(f"expected host:port or [IPv6 address]:port, got {word!r}")
    if port == WILDCARD:
        return PermitRule(host, None)
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536):
        raise ValueFormatError(f"expected a port from 1 to 65535 or {WILDCARD}, got {word!r}")
    return PermitRule(host, int(port))
