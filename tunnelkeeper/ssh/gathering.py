"""What a read leaves to be put together: data that goes on together, a packet that is not whole.

Nothing here knows what a packet is. Data is never copied for it, a packet in parts is copied once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunnelkeeper.forwarding.pieces import Pieces

if TYPE_CHECKING:
    from tunnelkeeper.ssh.short_way import ShortChannel

MOST_GATHERED = 32
"""Packets whose data is handed over together: more than a read has of large ones."""


class Gathered:
    """Data of one channel from packets in a row, which it is handed together.

    Only sessions that say so get data in pieces; the others get each packet's, as from asyncssh.
    """

    def __init__(self) -> None:
        self._channel: ShortChannel | None = None
        self._views: list[bytes | memoryview] = []
        self._size = 0

    def admits(self, channel: ShortChannel, size: int) -> bool:
        """Whether data of this size for this channel is in order; it is added next, if so."""
        if channel is not self._channel or len(self._views) == MOST_GATHERED:
            self.hand_over()
            self._channel = channel
        return channel.accepts(self._size + size)

    def add(self, channel: ShortChannel, view: bytes | memoryview) -> None:
        """Keep the data of one packet, for the channel that was asked about."""
        self._views.append(view)
        self._size += len(view)
        if not getattr(channel._session, "takes_pieces", False):  # noqa: SLF001
            self.hand_over()

    def hand_over(self) -> None:
        """Let the channel have what was gathered."""
        views, self._views = self._views, []
        size, self._size = self._size, 0
        channel, self._channel = self._channel, None
        if channel is None or not views:
            return
        # Views and pieces where asyncssh has bytes: its channels only keep and hand them on.
        data: Any = views[0] if len(views) == 1 else Pieces(views, size)
        channel._accept_data(data)  # noqa: SLF001


class Part:
    """The beginning of a packet whose rest is to come, copied once when it has. missing: bytes."""

    def __init__(self) -> None:
        self.missing = 0
        self._views: list[memoryview] = []

    def begin(self, view: memoryview, missing: int) -> None:
        """Keep the beginning of a packet."""
        self._views, self.missing = [view], missing

    def take(self, view: memoryview) -> memoryview:
        """Take what belongs to the packet from a read; returns what is behind it."""
        taken = view[: self.missing]
        self._views.append(taken)
        self.missing -= len(taken)
        return view[len(taken) :]

    def whole(self) -> bytes:
        """The packet, of which nothing is missing any more."""
        views, self._views = self._views, []
        return b"".join(views)
