"""Free loopback ports that stay reserved while a server restarts on them."""

from __future__ import annotations

import atexit
import contextlib
import random
import socket

LOWEST, HIGHEST = 20_000, 32_000
"""Below the range from which Linux and macOS choose ports of outgoing connections."""

_tokens: list[socket.socket] = []


def free_port() -> int:
    """Return a TCP port that is free on 127.0.0.1 and ::1 and reserved for this process.

    The UDP port of the same number is held as a token, so the TCP port can be bound, released and
    bound again.
    """
    return free_port_range(1)


def free_port_range(count: int) -> int:
    """Return the first of several consecutive ports, each as from `free_port`."""
    for first in random.sample(range(LOWEST, HIGHEST), k=200):
        if all(_is_free(port) and _reserve(port) for port in range(first, first + count)):
            return first
    raise AssertionError(f"found no free port between {LOWEST} and {HIGHEST}")


def _is_free(port: int) -> bool:
    families = [(socket.AF_INET, "0.0.0.0")]
    if socket.has_ipv6:
        families.append((socket.AF_INET6, "::1"))
    for family, address in families:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def _reserve(port: int) -> bool:
    token = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        token.bind(("127.0.0.1", port))
    except OSError:
        token.close()
        return False
    _tokens.append(token)
    return True


@atexit.register
def _release() -> None:
    for token in _tokens:
        with contextlib.suppress(OSError):
            token.close()
