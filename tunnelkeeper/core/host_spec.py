"""A host as written by a user: a [hosts] name, an ssh_config alias, [user@]host[:port] or ssh://.

It parses the text and looks nothing up. Text that could be taken for an option or for shell syntax
is rejected, as in OpenSSH, because host specs end up in argument lists and in ProxyCommand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import unquote

from tunnelkeeper.core.text import printable

_SCHEME = "ssh://"
_PART_LIMIT, _NAME_LIMIT = 63, 253  # RFC 1035 section 2.3.4, as text
_C_NUMBER = re.compile(
    r"(?P<hex>0x[0-9a-f]{1,8})|(?P<octal>0[0-7]{0,11})|[1-9][0-9]{0,9}", re.IGNORECASE | re.ASCII
)
_NOT_IN_A_HOST = frozenset("'`\"$\\;&<>|(){}[]@/,*? ")
"""Characters that valid_hostname() of OpenSSH's ssh.c rejects, wildcards, and separators."""
_NOT_IN_A_USER = frozenset("'`\"$;&<>|(){}/,: ")
"""Characters that valid_ruser() of ssh.c rejects, and separators. A backslash (Windows domain) is
allowed."""


class HostSpecError(ValueError):
    """Raised for a host that does not follow ssh(1). The text says what was expected."""


@dataclass(frozen=True, slots=True)
class HostSpec:
    """A host as written by a user. None: not given, so the lookup decides.

    host has no brackets. port is 1 to 65535.
    """

    user: str | None
    host: str
    port: int | None

    def __str__(self) -> str:
        user = "" if self.user is None else f"{self.user}@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{user}{host}{port}"

    def is_same_server(self, other: HostSpec) -> bool:
        """Return whether both have the same host and port, regardless of the user."""
        return (self.host, self.port) == (other.host, other.port)


def parse_host_spec(text: str) -> HostSpec:
    """Parse a host spec. A user may contain @, so the last one ends it, as in ssh.

    Raises:
        HostSpecError: The text is invalid.
    """
    if not text:
        raise HostSpecError("expected a host, got an empty string")
    is_url = text.startswith(_SCHEME)
    # ssh does not use the path of a URL. OpenSSH's parse_uri() accepts a single slash, too.
    rest = text.removeprefix(_SCHEME).removesuffix("/") if is_url else text
    user, at, address = rest.rpartition("@")
    if is_url:
        user = unquote(user)
    if at and not is_user(user):
        raise HostSpecError(f"expected a user name before the @, got {_quoted(text)}")
    host, port = _host_and_port(address, text)
    if not is_host(host):
        raise HostSpecError(f"expected [user@]host[:port], got {_quoted(text)}")
    return HostSpec(user if at else None, host, port)


def is_host(text: str) -> bool:
    """Return whether ssh accepts this as a host: a name, an alias or a bare address."""
    return _is_safe(text, _NOT_IN_A_HOST)


def is_user(text: str) -> bool:
    """Return whether ssh accepts this as a user on the server."""
    return _is_safe(text, _NOT_IN_A_USER) and not text.endswith("\\")


def host_name_problem(host: str) -> str | None:
    """Return why a host can never be looked up; None if a lookup may succeed.

    It applies to a name or address as connected to, not to an alias.
    """
    if ":" in host:
        return None if _is_ipv6(host) else "it is not an IPv6 address"
    parts = host.removesuffix(".").split(".")
    if all(part.isdecimal() or part[:2].lower() == "0x" for part in parts):
        return None if _is_ipv4(host) else "it is not an IPv4 address"
    if "" in parts:
        return "a part between its dots is empty"
    try:
        lengths = [len(part.encode("idna")) for part in parts]
    except UnicodeError:
        return f"a part between its dots is invalid or longer than {_PART_LIMIT} bytes"
    if sum(lengths) + len(parts) - 1 > _NAME_LIMIT:
        return f"a name has at most {_NAME_LIMIT} bytes"
    return None


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_ipv4(text: str) -> bool:
    """Return whether inet_aton(3) accepts an address: 10.0.0.1, 127.1, 0x7f000001."""
    *first, last = (_c_number(part) for part in text.split("."))
    return (
        len(first) < 4
        and all(0 <= number < 256 for number in first)
        and 0 <= last < 256 ** (4 - len(first))
    )


def _c_number(digits: str) -> int:
    """Return a number in the notation of C, or -1 if it is none."""
    match = _C_NUMBER.fullmatch(digits)
    if match is None:
        return -1
    return int(digits, 16 if match["hex"] else 8 if match["octal"] else 10)


def _is_safe(text: str, forbidden: frozenset[str]) -> bool:
    return (
        bool(text)
        and not text.startswith("-")  # ssh would parse it as an option
        and text.isprintable()
        and forbidden.isdisjoint(text)
    )


def _host_and_port(address: str, text: str) -> tuple[str, int | None]:
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise HostSpecError(f"expected [address] or [address]:port, got {_quoted(text)}")
        return host, _port(rest[1:], text) if rest else None
    host, colon, port = address.partition(":")
    if ":" in port:
        raise HostSpecError(
            f"expected [user@]host[:port], got {_quoted(text)}; an IPv6 address stands in brackets"
        )
    return host, _port(port, text) if colon else None


def _port(digits: str, text: str) -> int:
    # isdecimal() alone accepts digits of other scripts; int() alone accepts "1_0" and " 1".
    if digits.isascii() and digits.isdecimal() and len(digits) <= 5 and 0 < int(digits) < 65536:
        return int(digits)
    raise HostSpecError(f"expected a port from 1 to 65535 after the colon, got {_quoted(text)}")


def _quoted(text: str) -> str:
    return printable(repr(text), 80)
