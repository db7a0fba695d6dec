"""Whether a peer's kernel still takes what we sent, though its program has not answered yet.

On a slow link a keepalive waits behind megabytes in the kernel's buffer; acknowledgements are all
that comes back meanwhile. Only Linux tells; elsewhere nothing is known.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

# struct tcp_info of linux/tcp.h: tcpi_unacked, tcpi_bytes_acked, tcpi_notsent_bytes
_UNACKNOWLEDGED, _ACKNOWLEDGED, _UNSENT = ("=I", 24), ("=Q", 120), ("=I", 144)
_ENOUGH = 148  # bytes; Linux has had these fields since 4.6


@dataclass(frozen=True, slots=True)
class SendQueue:
    """is_waiting: not all that was sent is acknowledged. acknowledged: bytes that ever were."""

    is_waiting: bool
    acknowledged: int

    @classmethod
    def of(cls, connection: TransportSocket | None) -> Self | None:
        """That of a TCP connection; None where it cannot be told."""
        option = getattr(socket, "TCP_INFO", None)
        if connection is None or option is None:
            return None
        try:
            told = connection.getsockopt(socket.IPPROTO_TCP, option, _ENOUGH)
        except OSError:  # a proxy command's, or one that is just being closed
            return None
        if len(told) < _ENOUGH:
            return None
        unacknowledged, acknowledged, unsent = (
            struct.unpack_from(form, told, at)[0]
            for form, at in (_UNACKNOWLEDGED, _ACKNOWLEDGED, _UNSENT)
        )
        return cls(bool(unacknowledged or unsent), acknowledged)


def is_draining(before: SendQueue | None, now: SendQueue | None) -> bool:
    """Whether some of it was taken meanwhile, and some is still to be."""
    if before is None or now is None:
        return False
    return now.is_waiting and now.acknowledged > before.acknowledged
