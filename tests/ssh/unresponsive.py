"""What servers ignore that break RFC 4254, for Server.ignores."""

from __future__ import annotations

from asyncssh.constants import MSG_GLOBAL_REQUEST

KEEPALIVE = b"keepalive@openssh.com"


def keepalives(number: int, name: bytes) -> bool:
    """Ignore keepalives alone."""
    return number == MSG_GLOBAL_REQUEST and name == KEEPALIVE


def global_requests(number: int, _: bytes) -> bool:
    """Ignore every global request."""
    return number == MSG_GLOBAL_REQUEST


def everything(*_: object) -> bool:
    """Ignore every request after the login."""
    return True
