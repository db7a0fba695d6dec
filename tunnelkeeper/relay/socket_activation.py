"""Socket activation: checks of the sockets that a service manager passes to the relay."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.core.message import Message
from tunnelkeeper.net.bind_addresses import bind_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class UnusableSocketError(Exception):
    """Raised for a socket on which a relay cannot listen; the text gives the reason."""


def check(sockets: Iterable[socket.socket]) -> None:
    """Check that every socket listens on TCP.

    Raises UnusableSocketError.
    """
    for passed in sockets:
        if (
            passed.family not in {socket.AF_INET, socket.AF_INET6}
            or passed.type != socket.SOCK_STREAM
        ):
            raise UnusableSocketError(
                "the service manager passed a socket that is not TCP; the relay listens on TCP "
                "only (ListenStream= with an address and a port)"
            )
        if not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise UnusableSocketError(
                "the service manager passed a connection instead of a listening socket "
                "(Accept=no is needed)"
            )


def mismatch_warning(
    configured: Sequence[TcpAddress], sockets: Sequence[TcpAddress]
) -> Message | None:
    """Return a warning if the passed sockets differ from those that `listen` describes."""
    expected = {
        TcpAddress(bound.host, address.port): bound.is_optional
        for address in configured
        for bound in bind_addresses(address.host)
    }
    missing = [address for address, optional in expected.items() if not optional]
    if set(sockets) <= set(expected) and set(missing) <= set(sockets):
        return None
    return Message(
        f"listens on {_listed(sockets)}, the sockets of the service manager, and not on "
        f"{_listed(configured)} as `listen` does",
        "tunnelkeeper units install --kind relay",
    )


def _listed(addresses: Sequence[TcpAddress]) -> str:
    return ", ".join(map(str, addresses))
