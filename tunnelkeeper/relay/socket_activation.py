"""Sockets that a service manager opened for the relay: whether they serve and are those meant."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.net.bind_addresses import bind_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class UnusableSocketError(Exception):
    """A socket that a relay cannot listen on; the message says why."""


def check(sockets: Iterable[socket.socket]) -> None:
    """See that every socket listens on TCP.

    Raises Unusable.
    """
    for passed in sockets:
        if (
            passed.family not in {socket.AF_INET, socket.AF_INET6}
            or passed.type != socket.SOCK_STREAM
        ):
            raise UnusableSocketError(
                "the service manager hands over a socket that is not TCP; the relay listens on TCP "
                "only (ListenStream= with an address and a port)"
            )
        if not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise UnusableSocketError(
                "the service manager hands over a connection in place of a listening socket "
                "(Accept=no is needed)"
            )


def mismatch_warning(configured: Sequence[TcpAddress], sockets: Sequence[TcpAddress]) -> str | None:
    """What to tell where the sockets are not those that `listen` would make."""
    expected = {
        TcpAddress(bound.host, address.port): bound.is_optional
        for address in configured
        for bound in bind_addresses(address.host)
    }
    missing = [address for address, optional in expected.items() if not optional]
    if set(sockets) <= set(expected) and set(missing) <= set(sockets):
        return None
    return (
        f"listens on {_listed(sockets)}, as the service manager says, and not on "
        f"{_listed(configured)} as `listen` does; `tunnelkeeper units install --kind relay` writes "
        "its socket unit anew"
    )


def _listed(addresses: Sequence[TcpAddress]) -> str:
    return ", ".join(map(str, addresses))
