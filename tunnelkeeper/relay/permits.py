"""Permits: permitopen and permitlisten of sshd(8), PermitOpen and PermitListen of sshd_config(5).

The grammar is theirs, with a Unix path as an alternative to host and port:

    open      host:port     [IPv6]:port     *:port     host:*     /path
    listen    port          host:port       [IPv6]:port           /path

The relay's own permit_open may also name a network, `10.0.0.0/8:port` or `[fd00::/8]:port`, and
`names`, which sshd does not know.

The decisions are those of OpenSSH's channels.c. To open, the host is compared literally, and only
`*` alone means every host. To listen, the host is a pattern. A permit without a host allows every
host (auth-options.c reads `8080` as `*:8080`), including the `localhost` that ssh(1) requests when
its user names no host. Port `*` means every port, and only it allows port 0. Nothing is resolved
here: two spellings of one address are two hosts.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.core.wildcards import ascii_lower, matches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.relay.addresses import IPAddress, IPNetwork

ANY_HOST = "*"
ANY_PORT = "*"
NAMES = "names"
MAX_HOST_LENGTH = 1024  # NI_MAXHOST of netdb.h, less its final NUL
_PORT_DIGITS = 5
_NOT_IN_A_HOST = frozenset("[]/\\\"' ,@")


class PermitError(ValueError):
    """Raised for a permit that sshd(8) does not allow; the text names what is expected."""


@dataclass(frozen=True, slots=True)
class HostPermit:
    """A host without brackets, `*` for every host, and a TCP port, None for every port."""

    host: str
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{ANY_PORT if self.port is None else self.port}"


@dataclass(frozen=True, slots=True)
class PathPermit:
    """The path of a Unix socket, normalised; `*` and `?` in it match any characters."""

    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class NetworkPermit:
    """The addresses of a network, and a TCP port, None for every port."""

    network: IPNetwork
    port: int | None

    def __str__(self) -> str:
        network = f"[{self.network}]" if self.network.version == 6 else str(self.network)
        return f"{network}:{ANY_PORT if self.port is None else self.port}"


@dataclass(frozen=True, slots=True)
class NamesPermit:
    """Every name on which a client listens, and no host."""

    def __str__(self) -> str:
        return NAMES


Permit = HostPermit | PathPermit | NetworkPermit | NamesPermit

ANYTHING = HostPermit(ANY_HOST, None)
"""No restriction: the only host permit that also allows every path."""


def parse_open(text: str) -> Permit:
    """Parse one permitopen or PermitOpen.

    Raises PermitError.
    """
    if text.startswith("/"):
        return PathPermit(_path(text))
    host, colon, port = _host_and_port(text)
    if not colon:
        raise PermitError(f"expected host:port, [IPv6]:port or a path, got {_quoted(text)}")
    return HostPermit(_host(host, text), _port(port, text))


def parse_network(text: str) -> NetworkPermit | None:
    """Parse the permit of a network; return None if the text names none.

    Raises PermitError.
    """
    written, _, port = text.rpartition(":")
    if text.startswith("/") or "/" not in written:
        return None
    try:
        network = ip_network(written.removeprefix("[").removesuffix("]"))
    except ValueError as error:
        raise PermitError(f"expected a network such as 10.0.0.0/8:*: {error}") from None
    if written != (f"[{network}]" if network.version == 6 else str(network)):
        raise PermitError(f"expected a network such as 10.0.0.0/8:*, got {_quoted(text)}")
    return NetworkPermit(network, _port(port, text))


def parse_listen(text: str) -> Permit:
    """Parse one permitlisten or PermitListen.

    Raises PermitError.
    """
    if text.startswith("/"):
        return PathPermit(_path(text))
    host, colon, port = _host_and_port(text)
    if not colon:
        return HostPermit(ANY_HOST, _port(text, text))
    return HostPermit(_host(host, text), _port(port, text))


def allow_open(permits: Iterable[Permit], host: str, port: int) -> bool:
    """Return whether permits allow a connection to a host as the client wrote it (open_match())."""
    return any(
        permit.host in {ANY_HOST, host} and permit.port in {None, port}
        for permit in permits
        if isinstance(permit, HostPermit)
    )


def allow_name(permits: Iterable[Permit], name: str, port: int) -> bool:
    """Return whether permits allow a connection to a name on which a client listens."""
    permits = tuple(permits)
    return NamesPermit() in permits or allow_open(permits, name, port)


def allow_network(permits: Iterable[Permit], address: IPAddress, port: int) -> bool:
    """Return whether a permit names a network that an address is in."""
    return any(
        permit.port in {None, port} and address in permit.network
        for permit in permits
        if isinstance(permit, NetworkPermit)
    )


def names_network(permits: Iterable[Permit], port: int) -> bool:
    """Return whether a permit names any network with this port, so that the address decides."""
    return any(
        isinstance(permit, NetworkPermit) and permit.port in {None, port} for permit in permits
    )


def allow_listen(
    permits: Iterable[Permit], host: str, port: int, *, by_number: bool = False
) -> bool:
    """Return whether permits allow listening on a host as written, before gateway_ports applies.

    As remote_open_match(), but patterns ignore case as well. by_number: whether a permit must have
    the number of the port, and not `*`.
    """
    asked = ascii_lower(host)
    ports = {port} if by_number else {None, port}
    return any(
        permit.port in ports and matches(asked, ascii_lower(permit.host))
        for permit in permits
        if isinstance(permit, HostPermit)
    )


def allow_path(permits: Iterable[Permit], path: str) -> bool:
    """Return whether permits allow opening, or listening on, a normalised path.

    OpenSSH allows every path; here a permit must name the path, or nothing is restricted.
    """
    return any(
        matches(path, permit.path) if isinstance(permit, PathPermit) else permit == ANYTHING
        for permit in permits
    )


def _host_and_port(text: str) -> tuple[str, str, str]:
    """Split at the colon after the host, without brackets; without a colon, as str.partition().

    Raises PermitError.
    """
    if not text.startswith("["):
        return text.partition(":")
    host, _, rest = text[1:].partition("]")
    if ":" not in host or not rest.startswith(":"):
        raise PermitError(f"expected [IPv6]:port, got {_quoted(text)}")
    return host, ":", rest[1:]


def _host(host: str, text: str) -> str:
    is_plain = host.isascii() and host.isprintable() and not _NOT_IN_A_HOST.intersection(host)
    if host and is_plain and len(host) <= MAX_HOST_LENGTH:
        return host
    raise PermitError(f"expected a host before the port, got {_quoted(text)}")


def _port(port: str, text: str) -> int | None:
    if port == ANY_PORT:
        return None
    # isdecimal() alone accepts digits of other scripts; int() alone accepts "1_0" and " 1".
    if port.isascii() and port.isdecimal() and len(port) <= _PORT_DIGITS and 0 < int(port) < 65536:
        return int(port)
    raise PermitError(f"expected a port from 1 to 65535 or '*', got {_quoted(text)}")


def _path(path: str) -> str:
    # normpath() keeps two leading slashes, which POSIX leaves to the implementation.
    is_plain = posixpath.normpath(path) == path != "/" and not path.startswith("//")
    if is_plain and path.isprintable():
        return path
    raise PermitError(f"expected a normalised path without '..', got {_quoted(path)}")


def _quoted(text: str) -> str:
    return f"'{printable(text, 80)}'"
