"""Tells a name that a client may listen on from an address that something is bound to.

A name is a single label (`ssh -R home:22:localhost:22`). One with a dot is never a name: a client
that could take `db.example.com` would get the connections that others mean for that host.
"""

from __future__ import annotations

import re

from tunnelkeeper.core.wildcards import ascii_lower

# RFC 1123 section 2.1, and the underscore that people write. A letter must be in it: resolvers
# read 2130706433 and 0x7f000001 as 127.0.0.1 (inet_aton(3)).
_LABEL = re.compile(r"(?=.*[a-z])(?!0x[0-9a-f]*\Z)[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")

_OF_THIS_MACHINE = frozenset(
    {
        "localhost",
        "localhost4",  # Fedora's /etc/hosts
        "localhost6",
        "ip6-localhost",  # Debian's /etc/hosts
        "ip6-loopback",
        "ip6-allnodes",
        "ip6-allrouters",
    }
)


def listen_name(host: str) -> str | None:
    """The name, in lower case, that a listen host is; None for whatever else it may be.

    An address, `localhost`, `*`, nothing at all, a host name with dots: all of these are bound.
    """
    name = ascii_lower(host)
    if name in _OF_THIS_MACHINE or not _LABEL.fullmatch(name):
        return None
    return name
