"""Policy for one request: whether a client may listen on or open a target, and why not.

Resolved addresses and bound ports are parameters; nothing here resolves, binds or opens anything.
Only `check_symlinks` reads the disk. A refusal concerns one request and never closes a connection.
"""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.core.forward_spec import EVERY_INTERFACE, LOOPBACK
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.bind_addresses import ANY_IPV4, ANY_IPV6
from tunnelkeeper.relay import addresses
from tunnelkeeper.relay.permits import (
    ANYTHING,
    HostPermit,
    Permit,
    allow_listen,
    allow_name,
    allow_network,
    allow_open,
    allow_path,
    names_network,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tunnelkeeper.relay.addresses import IPAddress
    from tunnelkeeper.relay.key_options import KeyOptions

GatewayPorts = Literal["no", "yes", "clientspecified"]
Bound = tuple[str, int]
"""An address and a port on the relay to which a listener of a client is bound."""

MAX_PORT = 65535
RESERVED_PORTS = 1024  # IPPORT_RESERVED of netinet/in.h
MAX_NAME_LENGTH = 253  # RFC 1035 section 2.3.4, without the length byte and the root label
MAX_PATH_LENGTH = 107  # unix(7): 108 bytes with the final NUL
# RFC 1123 section 2.1, and the underscore that people write.
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused request. message: the reason, printable and fit for the client."""

    message: str

    def __str__(self) -> str:
        return self.message


def bind_host(setting: GatewayPorts, asked_host: str) -> str:
    """Return the host to bind for a requested host (channel_fwd_bind_addr() in channels.c).

    `localhost` means 127.0.0.1 and ::1, `*` means every interface; other hosts are unchanged.
    """
    if setting == "no":
        return asked_host if asked_host in {"127.0.0.1", "::1"} else LOOPBACK
    if setting == "yes":
        return EVERY_INTERFACE
    return asked_host or EVERY_INTERFACE


def check_listen(
    host: str, port: int, permits: Iterable[Permit], options: KeyOptions
) -> Refusal | None:
    """Check a request to listen on a host, address or name, as the client wrote it.

    port: 0 lets the relay choose; only a permit for every port allows it, as in sshd.
    """
    if not 0 <= port <= MAX_PORT:
        return Refusal(f"{port} is not a port")
    if host not in {"", EVERY_INTERFACE} and not is_host(host):
        return Refusal(f"{_quoted(host)} is not a host name or address")
    if not options.port_forwarding:
        return Refusal("this key may not forward ports")
    for granted in (permits, options.permit_listen):
        if granted is not None and not allow_listen(granted, host, port):
            return Refusal(f"listening on {_quoted(host)} port {port} is not permitted")
    return None


def check_reserved_port(
    host: str, port: int, permits: Iterable[Permit], options: KeyOptions
) -> Refusal | None:
    """Check a request to bind a port, after `check_listen`. Names are bound to no port.

    Ports below 1024 belong to services of the system. sshd leaves them to root; here a rule of the
    relay or of the key must have the number.
    """
    if not 0 < port < RESERVED_PORTS:
        return None
    if any(
        allow_listen(granted, host, port, by_number=True)
        for granted in (permits, options.permit_listen or ())
    ):
        return None
    return Refusal(
        f"port {port} is below {RESERVED_PORTS}; a rule of the relay has to name it: "
        f'permitlisten="{port}" in authorized_keys, or permit_listen in relay.toml'
    )


def check_open(
    host: str,
    port: int,
    resolved: Iterable[str],
    permits: Collection[Permit],
    options: KeyOptions,
    bound: Collection[Bound] = (),
    own: Collection[str] = (),
) -> Refusal | None:
    """Check a request to open a connection to a host, as the client wrote it.

    resolved: the addresses to connect to. If empty (before the lookup), only host and port are
    checked. One closed address refuses the request; check each address separately to use the
    others. permits: the relay's; a host or address in them, other than `*`, also opens a closed
    address. bound: where listeners of clients are bound. own: the addresses that are the relay's.
    """
    is_allowed = allow_open(permits, host, port)
    if refusal := _check_host(host, port, is_allowed or names_network(permits, port), options):
        return refusal
    if _is_named(permits, host, port):
        return None
    own_addresses = frozenset(map(addresses.parse, own))
    for text in resolved:
        try:
            address = addresses.parse(text)
        except ValueError:
            return Refusal(f"{_quoted(text)} is not an address")
        if not is_allowed and not allow_network(permits, address, port):
            return _not_permitted(host, port)
        refusal = _check_address(address, host, port, permits, options, bound, own_addresses)
        if refusal:
            return refusal
    return None


def check_open_name(
    name: str, port: int, permits: Collection[Permit], options: KeyOptions
) -> Refusal | None:
    """Check a request to open a connection to a name that clients listen on."""
    return _check_host(name, port, allow_name(permits, name, port), options)


def check_listen_path(
    path: str, folder: str, permits: Iterable[Permit], options: KeyOptions
) -> Refusal | None:
    """Check a request to listen on a Unix socket. folder: sockets must be below it; empty: none.

    `check_symlinks` checks whether a symbolic link leads elsewhere.
    """
    return _path_refusal("listening on", path, folder, (permits, options.permit_listen), options)


def check_open_path(
    path: str, folder: str, permits: Iterable[Permit], options: KeyOptions
) -> Refusal | None:
    """Check a request to open a connection to a Unix socket, as `check_listen_path` does."""
    return _path_refusal("opening", path, folder, (permits, options.permit_open), options)


def check_symlinks(path: str, folder: str) -> Refusal | None:
    """Refuse a path that leaves the folder for Unix sockets through a symbolic link."""
    real = os.path.realpath(path)
    if real.startswith(os.path.realpath(folder) + os.sep):
        return None
    return Refusal(f"{_quoted(path)} leads out of the folder of this relay's sockets")


def _check_host(host: str, port: int, is_allowed: bool, options: KeyOptions) -> Refusal | None:
    """Refuse what no address can make good. is_allowed: whether the relay's permits allow it."""
    if not 1 <= port <= MAX_PORT:
        return Refusal(f"{port} is not a port")
    if not is_host(host):
        return Refusal(f"{_quoted(host)} is not a host name or address")
    if not options.port_forwarding:
        return Refusal("this key may not forward ports")
    granted = options.permit_open
    if not is_allowed or (granted is not None and not allow_open(granted, host, port)):
        return _not_permitted(host, port)
    return None


def _not_permitted(host: str, port: int) -> Refusal:
    return Refusal(f"opening {_quoted(host)} port {port} is not permitted")


def _check_address(
    address: IPAddress,
    host: str,
    port: int,
    permits: Collection[Permit],
    options: KeyOptions,
    bound: Collection[Bound],
    own: Collection[IPAddress],
) -> Refusal | None:
    """Refuse a closed address unless a permit names it or a client listens on it.

    The permitopen of a key opens private networks only.
    """
    if (address.is_loopback or address in own) and _is_bound_by_client(address, port, bound):
        return None
    if _is_named(permits, str(address), port):
        return None
    if reason := addresses.closed_reason(address, own):
        return Refusal(f"{address} is {reason}, which is closed")
    by_key = options.permit_open or ()
    is_open = (
        not addresses.is_private(address)
        or allow_network(permits, address, port)
        or any(_is_named(by_key, named, port) for named in (host, str(address)))
    )
    return None if is_open else _private_refusal(address, host, port, permits)


def _private_refusal(
    address: IPAddress, host: str, port: int, permits: Collection[Permit]
) -> Refusal:
    """Return a refusal with the line of relay.toml that opens the host."""
    entry = f'"{HostPermit(_canonical(host), port)}"'
    is_default = tuple(permits) == (ANYTHING,)
    line = f'permit_open = ["{ANYTHING}", {entry}]' if is_default else f"{entry} in permit_open"
    return Refusal(
        f"{address} is in a private network, which is closed; {line} of relay.toml opens it"
    )


def _is_bound_by_client(address: IPAddress, port: int, bound: Collection[Bound]) -> bool:
    """Return whether a client's listener answers at an address of the relay."""
    everywhere = ANY_IPV4 if address.version == 4 else ANY_IPV6
    return (str(address), port) in bound or (everywhere, port) in bound


def _is_named(permits: Iterable[Permit], host: str, port: int) -> bool:
    """Return whether a permit names this host or address, rather than `*`."""
    return any(
        permit.port in {None, port} and _canonical(permit.host) == _canonical(host)
        for permit in permits
        if isinstance(permit, HostPermit)
    )


def _canonical(host: str) -> str:
    """Return the canonical form of an address; a name unchanged."""
    try:
        return str(addresses.parse(host))
    except ValueError:
        return host


def _path_refusal(
    doing: str,
    path: str,
    folder: str,
    grants: Iterable[Iterable[Permit] | None],
    options: KeyOptions,
) -> Refusal | None:
    if not options.port_forwarding:
        return Refusal("this key may not forward ports")
    if not folder:
        return Refusal("Unix sockets are not forwarded by this relay")
    if not path.isprintable() or len(path.encode()) > MAX_PATH_LENGTH:
        return Refusal(f"{_quoted(path)} is not a valid socket path")
    inside = path.startswith(folder.rstrip("/") + "/")
    if not inside or posixpath.normpath(path) != path:
        return Refusal(f"{_quoted(path)} is not below the folder of this relay's sockets")
    if any(granted is not None and not allow_path(granted, path) for granted in grants):
        return Refusal(f"{doing} {_quoted(path)} is not permitted")
    return None


def is_host(host: str) -> bool:
    """Return whether a host is an address or a well-formed name that a resolver accepts."""
    try:
        addresses.parse(host)
    except ValueError:
        name = host.removesuffix(".")
        return len(name) <= MAX_NAME_LENGTH and all(map(_LABEL.fullmatch, name.split(".")))
    return True


def _quoted(text: str) -> str:
    return f"'{printable(text, 80)}'"
