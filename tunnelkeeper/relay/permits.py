"""What may be opened and listened on: permitopen, permitlisten, PermitOpen and PermitListen.

The grammar is that of sshd(8) and sshd_config(5), and a Unix path in place of host and port:

    open      host:port     [IPv6]:port     *:port     host:*     /path
    listen    port          host:port       [IPv6]:port           /path

The decisions are those of OpenSSH's channels.c. To open, a host is compared as it is written, and
only a lone `*` means every host. To listen, a host is a pattern; a permit without a host is for
every host (auth-options.c reads `8080` as `*:8080`), also for the `localhost` that ssh(1) asks for
when its user names none. Port `*` means every port, and nothing else lets port 0 through. Nothing
is resolved here: two spellings of one address are two hosts.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.core.wildcards import ascii_lower, matches

if TYPE_CHECKING:
    from collections.abc import Iterable

ANY_HOST = "*"
ANY_PORT = "*"
MAX_HOST_LENGTH = 1024  # NI_MAXHOST of netdb.h, less its final NUL
_PORT_DIGITS = 5
_NOT_IN_A_HOST = frozenset("[]/\\\"' ,@")


class PermitError(ValueError):
    """A permit was not written as sshd(8) writes it; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class HostPermit:
    """A host, without brackets, and a TCP port; None: every port. `*` is every host."""

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


Permit = HostPermit | PathPermit

ANYTHING = HostPermit(ANY_HOST, None)
"""No restriction at all, and so the only permit of hosts that lets every path through as well."""


def parse_open(text: str) -> Permit:
    """Read one permitopen or PermitOpen.

    Raises PermitError.
    """
    if text.startswith("/"):
        return PathPermit(_path(text))
    host, colon, port = _host_and_port(text)
    if not colon:
        raise PermitError(f"expected host:port, [IPv6]:port or a path, got {_quoted(text)}")
    return HostPermit(_host(host, text), _port(port, text))


def parse_listen(text: str) -> Permit:
    """Read one permitlisten or PermitListen.

    Raises PermitError.
    """
    if text.startswith("/"):
        return PathPermit(_path(text))
    host, colon, port = _host_and_port(text)
    if not colon:
        return HostPermit(ANY_HOST, _port(text, text))
    return HostPermit(_host(host, text), _port(port, text))


def allow_open(permits: Iterable[Permit], host: str, port: int) -> bool:
    """Whether a client may open a connection to a host, as it wrote it (open_match())."""
    return any(
        permit.host in {ANY_HOST, host} and permit.port in {None, port}
        for permit in permits
        if isinstance(permit, HostPermit)
    )


def allow_listen(permits: Iterable[Permit], host: str, port: int) -> bool:
    """Whether a client may listen on a host, as it wrote it, before gateway_ports changes it.

    As remote_open_match(), and a pattern's upper case is no matter either.
    """
    asked = ascii_lower(host)
    return any(
        permit.port in {None, port} and matches(asked, ascii_lower(permit.host))
        for permit in permits
        if isinstance(permit, HostPermit)
    )


def allow_path(permits: Iterable[Permit], path: str) -> bool:
    """Whether a client may open, or listen on, a normalised path.

    OpenSSH lets every path through; here it is one that was named, or nothing is restricted.
    """
    return any(
        matches(path, permit.path) if isinstance(permit, PathPermit) else permit == ANYTHING
        for permit in permits
    )


def _host_and_port(text: str) -> tuple[str, str, str]:
    """Split at the colon after the host; brackets are taken off. No colon: three parts, two empty.

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
    # isdecimal() alone would let other scripts' digits in; int() alone would take "1_0" and " 1".
    if port.isascii() and port.isdecimal() and len(port) <= _PORT_DIGITS and 0 < int(port) < 65536:
        return int(port)
    raise PermitError(f"expected a port from 1 to 65535 or '*', got {_quoted(text)}")


def _path(path: str) -> str:
    # normpath() keeps two slashes in front, as POSIX lets them mean something of their own.
    is_plain = posixpath.normpath(path) == path != "/" and not path.startswith("//")
    if is_plain and path.isprintable():
        return path
    raise PermitError(f"expected a path without '..' and the like, got {_quoted(path)}")


def _quoted(text: str) -> str:
    return f"'{printable(text, 80)}'"
