"""What a read leaves to be put together: data that goes on together, a packet that is not whole.

Nothing here knows what a packet is. Data is never copied for it, a packet in parts is copied once.
"""

from __future__ import annotations

from typing import Any, Protocol

from tunnelkeeper.net.stream_transport import BufferList

MAX_BATCH_PACKETS = 32
"""Packets whose data is handed over together: more than a read has of large ones."""


class BatchReceiver(Protocol):
    """A channel that receives batches."""

    @property
    def remaining_window(self) -> int:
        """Bytes that are left of its receive window."""

    @property
    def accepts_buffer_list(self) -> bool:
        """Whether it takes a BufferList in place of bytes."""

    def accept_data(self, data: Any) -> None:
        """Deliver or queue the data of a batch."""


class DataBatch:
    """Data of one channel from packets in a row, which it is handed together.

    Only sessions that say so get data in pieces; the others get each packet's, as from asyncssh.
    number: the channel's own, or None. room: bytes that may still be added for it.
    """

    def __init__(self) -> None:
        self.channel_number: int | None = None
        self.remaining_window = 0
        self._channel: BatchReceiver | None = None
        self._max_packets = 0
        self._views: list[bytes | memoryview] = []
        self._size = 0

    def start(self, number: int, channel: BatchReceiver) -> None:
        """Hand over what there is, and gather for another channel."""
        self.flush()
        self.channel_number, self._channel, self.remaining_window = (
            number,
            channel,
            channel.remaining_window,
        )
        self._max_packets = MAX_BATCH_PACKETS if channel.accepts_buffer_list else 1

    def add(self, view: bytes | memoryview, size: int) -> None:
        """Keep the data of one packet, for which there is room."""
        self._views.append(view)
        self._size += size
        self.remaining_window -= size
        if len(self._views) == self._max_packets:
            self.flush()

    def flush(self) -> None:
        """Let the channel have what was gathered."""
        channel, self._channel = self._channel, None
        self.channel_number, self.remaining_window = None, 0
        if not self._views or channel is None:
            return
        views, self._views = self._views, []
        size, self._size = self._size, 0
        # Views and pieces where asyncssh has bytes: its channels only keep and hand them on.
        data: Any = views[0] if len(views) == 1 else BufferList(views, size)
        channel.accept_data(data)


class PartialPacket:
    """The beginning of a packet whose rest is to come, copied once when it has. missing: bytes."""

    def __init__(self) -> None:
        self.missing = 0
        self._views: list[memoryview] = []

    def start(self, view: memoryview, missing: int) -> None:
        """Keep the beginning of a packet."""
        self._views, self.missing = [view], missing

    def append(self, view: memoryview) -> memoryview:
        """Take what belongs to the packet from a read; returns what is behind it."""
        taken = view[: self.missing]
        self._views.append(taken)
        self.missing -= len(taken)
        return view[len(taken) :]

    def join(self) -> bytes:
        """The packet, of which nothing is missing any more."""
        views, self._views = self._views, []
        return b"".join(views)
