"""Whether packets to an address stay on this machine, as its routing decides.

The addresses of the interfaces do not show it: with a route of the type local (AnyIP, `ip route add
local 10.9.0.0/16 dev lo`), a machine answers for a whole network that no interface has. It connects
to nothing.
"""

from __future__ import annotations

import errno
import socket

from tunnelkeeper.net import rtnetlink

_ANSWER_TIMEOUT = 1.0  # the kernel has answered when send() returns
_SEQUENCE = 1
_BUFFER_SIZE = 8192
_NETLINK = getattr(socket, "AF_NETLINK", None)  # Linux only
_NOT_LOCAL = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL})


def is_local(address: str) -> bool:
    """Return whether packets to an address would stay on this machine.

    address: IPv4 or IPv6, without a zone. Raises OSError if that cannot be found out: without a
    free file descriptor, or in a sandbox without AF_NETLINK (RestrictAddressFamilies).
    """
    if _NETLINK is None:
        return _can_bind(address)
    with socket.socket(_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asking:
        asking.settimeout(_ANSWER_TIMEOUT)
        asking.sendto(rtnetlink.route_request(address, _SEQUENCE), (0, 0))
        answer = asking.recv(_BUFFER_SIZE)
    # An error means that no route leads there, so the machine does not answer for the address.
    return any(
        kind == rtnetlink.NEW_ROUTE and rtnetlink.is_local_route(body)
        for kind, body in rtnetlink.messages(answer)
    )


def _can_bind(address: str) -> bool:
    """Return whether a socket can have the address; only a local one can, by default.

    With ip_nonlocal_bind (ip(7)) every address looks local, which closes too much, not too little.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        if error.errno in _NOT_LOCAL:
            return False
        raise
    return True
