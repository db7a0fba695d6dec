"""The endpoint of a socket that has a place in the pool of descriptors until it is closed.

A channel may end long before its socket: what the socket still has to send keeps it open. So the
place belongs to the socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunnelkeeper.forwarding.pump import SocketEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.net.descriptor_pool import Place


class CountedSocket(SocketEndpoint):
    """A socket endpoint with a place."""

    def __init__(self, on_connected: Callable[[Any], None] | None = None) -> None:
        super().__init__(on_connected)
        self._place: Place | None = None

    def occupy(self, place: Place) -> None:
        """Hold a place until the socket is closed."""
        if self.is_closed:
            place.release()
        else:
            self._place = place

    def evict(self) -> None:
        """Reset the socket and abort its channel, because another holder needs the place."""
        peer = self.peer
        self.abort()
        if peer is not None:
            peer.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back and close the peer."""
        if self._place is not None:
            self._place.release()
        super().connection_lost(exc)
