"""The four kinds of forward, and their -L, -R and -D specs. It opens nothing.

The grammar is ssh(1)'s:

    local          [bind_address:]port:host:hostport      [bind_address:]port:remote_socket
                   local_socket:host:hostport             local_socket:remote_socket
    remote         the same with the two ends exchanged, and [bind_address:]port for SOCKS
    socks          [bind_address:]port                    local_socket

An IPv6 address is in brackets. `*` or an empty bind address means every interface. A path (with a
`/`) in place of either end means a Unix socket. A backslash makes the next character an ordinary
one. Paths keep their percent tokens and ${VARIABLES} (core.token_expansion).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

LOOPBACK = "localhost"
"""The default bind address of a forward: 127.0.0.1, and ::1 if available."""

EVERY_INTERFACE = "*"

SOCKET_PATH_LIMIT = 107
"""Bytes of sun_path without the final NUL (unix(7)). ssh accepts no longer path at either end."""

Services = Callable[[str], int | None]
"""Returns the port of a TCP service by its name, or None if there is none."""


def no_services(_name: str) -> int | None:
    """Return no port: names of services are not accepted."""
    return None


Kind = Literal["local", "remote", "socks"]


class SpecError(ValueError):
    """Raised for a forward that does not follow ssh(1). The text says what was expected."""


class TcpAddress(Struct, frozen=True):
    """A host (name or address, without brackets) and a TCP port, 0 to 65535."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixAddress(Struct, frozen=True):
    """The path of a Unix-domain socket."""

    path: str

    def __str__(self) -> str:
        needs_brackets = self.path.startswith("[") or any(c in self.path for c in ":\\")
        return f"[{self.path}]" if needs_brackets else self.path


Address = TcpAddress | UnixAddress


class LocalForward(Struct, frozen=True):
    """Listen on this machine; clients reach one target through the server (ssh -L).

    allow_users: the ids of the users who may connect. Empty: every user who can reach the address.
    """

    listen: Address
    connect: Address
    allow_users: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.listen}:{self.connect}"


class RemoteForward(Struct, frozen=True):
    """Listen on the server; clients reach one target through this machine (ssh -R)."""

    listen: Address
    connect: Address

    def __str__(self) -> str:
        return f"{self.listen}:{self.connect}"


class SocksForward(Struct, frozen=True):
    """Listen on this machine as a SOCKS proxy; each client names its target (ssh -D).

    allow_users: as in LocalForward. password_file: the file of the users and passwords, one of
    which a client has to give. Empty: it has to give none.
    """

    listen: Address
    allow_users: tuple[int, ...] = ()
    password_file: str = ""

    def __str__(self) -> str:
        return str(self.listen)


class RemoteSocksForward(Struct, frozen=True):
    """Listen on the server as a SOCKS proxy for targets of this machine (ssh -R 1080)."""

    listen: Address

    def __str__(self) -> str:
        return str(self.listen)


Forward = LocalForward | RemoteForward | SocksForward | RemoteSocksForward
LocallyBoundForward = LocalForward | SocksForward
"""The forwards that listen on this machine."""
RemotelyBoundForward = RemoteForward | RemoteSocksForward
"""The forwards that listen on the server."""


def kind_of(forward: Forward) -> Kind:
    """Return the table of the config file that a forward belongs to."""
    match forward:
        case LocalForward():
            return "local"
        case SocksForward():
            return "socks"
        case RemoteForward() | RemoteSocksForward():
            return "remote"
        case _:
            assert_never(forward)


def without_limits(forward: Forward) -> Forward:
    """Return a forward as ssh knows it, without limits on its clients."""
    match forward:
        case LocalForward():
            return replace(forward, allow_users=())
        case SocksForward():
            return replace(forward, allow_users=(), password_file="")
    return forward


def target_of(forward: Forward) -> Address | None:
    """Return the target of a forward, or None for SOCKS, where each client names its target."""
    match forward:
        case LocalForward(connect=connect) | RemoteForward(connect=connect):
            return connect
        case SocksForward() | RemoteSocksForward():
            return None
        case _:
            assert_never(forward)


def socket_paths(forward: Forward) -> tuple[str, ...]:
    """Return the paths of the Unix sockets at the ends of a forward."""
    ends = (forward.listen, target_of(forward))
    return tuple(end.path for end in ends if isinstance(end, UnixAddress))


def socket_path_problem(path: str) -> str | None:
    """Return why no system can use a socket path; None if it can be used."""
    length = len(path.encode(errors="surrogateescape"))
    if length > SOCKET_PATH_LIMIT:
        return f"a socket path has at most {SOCKET_PATH_LIMIT} bytes, this one has {length}"
    return None


def with_socket_paths(forward: Forward, change: Callable[[str], str]) -> Forward:
    """Return a forward whose socket paths are changed by a function."""

    def changed(end: Address) -> Address:
        return UnixAddress(change(end.path)) if isinstance(end, UnixAddress) else end

    listen = changed(forward.listen)
    if isinstance(forward, LocalForward | RemoteForward):
        return replace(forward, listen=listen, connect=changed(forward.connect))
    return replace(forward, listen=listen)


def connectable_address(listen: Address) -> Address:
    """Return the address to reach a listener at from its own machine: loopback for `*`."""
    match listen:
        case TcpAddress(host=host, port=port) if host == EVERY_INTERFACE:
            return TcpAddress(LOOPBACK, port)
    return listen


def parse_local(spec: str, services: Services = no_services) -> LocalForward:
    """Parse a -L spec.

    Raises:
        SpecError: The spec is invalid.
    """
    listen, connect = _listen_and_connect(spec, services)
    if connect is None:
        raise SpecError(f"expected [bind_address:]port:host:hostport, got {spec!r}")
    return LocalForward(_nonzero(listen, spec), _nonzero(connect, spec))


def parse_remote(spec: str, services: Services = no_services) -> RemoteForward | RemoteSocksForward:
    """Parse a -R spec. Port 0 lets the server choose. Without a target it is a SOCKS proxy.

    Raises:
        SpecError: The spec is invalid.
    """
    listen, connect = _listen_and_connect(spec, services)
    if connect is None:
        return RemoteSocksForward(listen)
    return RemoteForward(listen, _nonzero(connect, spec))


def parse_socks(spec: str, services: Services = no_services) -> SocksForward:
    """Parse a -D spec.

    Raises:
        SpecError: The spec is invalid.
    """
    listen, connect = _listen_and_connect(spec, services)
    if connect is not None:
        raise SpecError(f"expected [bind_address:]port, got {spec!r}")
    return SocksForward(_nonzero(listen, spec))


def parse_listen(text: str, services: Services = no_services) -> Address:
    """Parse the `listen` end of the table form: [bind_address:]port or a path.

    Raises:
        SpecError: The spec is invalid.
    """
    listen, connect = _listen_and_connect(text, services)
    if connect is not None:
        raise SpecError(f"expected [bind_address:]port or a path, got {text!r}")
    return listen


def parse_target(text: str, services: Services = no_services) -> Address:
    """Parse the `connect` end of the table form: host:port or a path.

    Raises:
        SpecError: The spec is invalid.
    """
    fields = _fields(text)
    if len(fields) == 1 and "/" in fields[0]:
        return _unix(fields[0], text)
    if len(fields) != 2 or not fields[0]:
        raise SpecError(f"expected host:port or a path, got {text!r}")
    return _nonzero(TcpAddress(_host(fields[0], text), _port(fields[1], text, services)), text)


def _listen_and_connect(spec: str, services: Services) -> tuple[Address, Address | None]:
    """Split a spec into its listen and connect ends. The connect end may be None."""
    fields = _fields(spec)
    match fields:
        case [listen] if "/" in listen:
            return _unix(listen, spec), None
        case [port]:
            return TcpAddress(LOOPBACK, _port(port, spec, services)), None
        case [listen, connect] if "/" in listen and "/" in connect:
            return _unix(listen, spec), _unix(connect, spec)
        case [port, path] if "/" in path:
            return TcpAddress(LOOPBACK, _port(port, spec, services)), _unix(path, spec)
        case [bind, port] if "/" not in bind:
            return TcpAddress(_bind(bind, spec), _port(port, spec, services)), None
        case [bind, port, path] if "/" in path and "/" not in bind:
            return TcpAddress(_bind(bind, spec), _port(port, spec, services)), _unix(path, spec)
        case [listen, host, port] if "/" in listen:
            return _unix(listen, spec), TcpAddress(_host(host, spec), _port(port, spec, services))
        case [port, host, hostport]:
            target = TcpAddress(_host(host, spec), _port(hostport, spec, services))
            return TcpAddress(LOOPBACK, _port(port, spec, services)), target
        case [bind, port, host, hostport]:
            target = TcpAddress(_host(host, spec), _port(hostport, spec, services))
            return TcpAddress(_bind(bind, spec), _port(port, spec, services)), target
    raise SpecError(f"expected [bind_address:]port:host:hostport, got {spec!r}")


def _fields(spec: str) -> list[str]:
    """Split at colons outside brackets, and remove the brackets and backslashes.

    parse_fwd_field() of OpenSSH's readconf.c.
    """
    fields: list[str] = []
    rest = spec.lstrip(" \t")
    while True:
        if rest.startswith("["):
            field, bracket, rest = rest[1:].partition("]")
            if not bracket or (rest and not rest.startswith(":")):
                raise SpecError(f"expected [address] followed by a colon, got {spec!r}")
            if not field:
                raise SpecError(f"expected an address between the brackets, got {spec!r}")
        else:
            field, rest = _unescaped_field(rest, spec)
        fields.append(field)
        if not rest:
            return fields
        rest = rest[1:]


def _unescaped_field(text: str, spec: str) -> tuple[str, str]:
    """Return the text before the first colon that has no backslash before it, and the rest."""
    parts = re.match(r"(?:[^\\:]|\\.)*", text, re.DOTALL)
    field = parts[0] if parts else ""
    rest = text[len(field) :]
    if rest.startswith("\\"):
        raise SpecError(f"expected a character after the backslash, got {spec!r}")
    return re.sub(r"\\(.)", r"\1", field, flags=re.DOTALL), rest


def _bind(text: str, spec: str) -> str:
    if text in {"", EVERY_INTERFACE}:
        return EVERY_INTERFACE
    return _host(text, spec)


def _host(text: str, spec: str) -> str:
    if not text:
        raise SpecError(f"expected a host, got nothing in {spec!r}")
    if not text.isprintable() or any(c in " /[]" for c in text):
        raise SpecError(f"expected a host name or address, got {text!r} in {spec!r}")
    return text


def _port(text: str, spec: str, services: Services) -> int:
    # isdecimal() alone accepts digits of other scripts; int() alone accepts "1_0" and " 1".
    if text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) < 65536:
        return int(text)
    number = services(text)
    if number is not None:
        return number
    raise SpecError(f"expected a port from 1 to 65535, got {text!r} in {spec!r}")


def _unix(path: str, spec: str) -> UnixAddress:
    if "\0" in path or not path.isprintable():
        raise SpecError(f"expected a socket path without control characters, got {spec!r}")
    if problem := socket_path_problem(path):
        raise SpecError(f"{problem}: {path!r}")
    return UnixAddress(path)


def _nonzero(address: Address, spec: str) -> Address:
    if isinstance(address, TcpAddress) and address.port == 0:
        raise SpecError(f"expected a port from 1 to 65535, got '0' in {spec!r}")
    return address
