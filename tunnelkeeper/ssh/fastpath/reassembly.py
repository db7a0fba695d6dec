"""Batches of channel data, and packets that span several reads.

This module does not parse packets. It never copies the data of a batch. It copies a packet that
spans reads once.
"""

from __future__ import annotations

from typing import Any, Protocol

from tunnelkeeper.net.stream_transport import BufferList

MAX_BATCH_PACKETS = 32
"""Packets in one batch: more large packets than one read contains."""


class BatchReceiver(Protocol):
    """A channel that receives batches."""

    @property
    def remaining_window(self) -> int:
        """Bytes left in its receive window."""

    @property
    def accepts_buffer_list(self) -> bool:
        """Whether it accepts a BufferList instead of bytes."""

    def accept_data(self, data: Any) -> None:
        """Deliver or queue the data of a batch."""


class DataBatch:
    """Data of consecutive packets for one channel, delivered together.

    A session that does not accept a BufferList gets the data of each packet separately, as from
    asyncssh. channel_number: our number of the channel, or None. remaining_window: bytes that may
    still be added.
    """

    def __init__(self) -> None:
        self.channel_number: int | None = None
        self.remaining_window = 0
        self._channel: BatchReceiver | None = None
        self._max_packets = 0
        self._views: list[bytes | memoryview] = []
        self._size = 0

    def start(self, number: int, channel: BatchReceiver) -> None:
        """Deliver the current batch and start one for another channel."""
        self.flush()
        self.channel_number, self._channel, self.remaining_window = (
            number,
            channel,
            channel.remaining_window,
        )
        self._max_packets = MAX_BATCH_PACKETS if channel.accepts_buffer_list else 1

    def add(self, view: bytes | memoryview, size: int) -> None:
        """Add the data of one packet, which must fit the remaining window."""
        self._views.append(view)
        self._size += size
        self.remaining_window -= size
        if len(self._views) == self._max_packets:
            self.flush()

    def flush(self) -> None:
        """Deliver the batch to its channel."""
        channel, self._channel = self._channel, None
        self.channel_number, self.remaining_window = None, 0
        if not self._views or channel is None:
            return
        views, self._views = self._views, []
        size, self._size = self._size, 0
        # asyncssh passes bytes here. Its channels only store and forward them, so a view works.
        data: Any = views[0] if len(views) == 1 else BufferList(views, size)
        channel.accept_data(data)


class PartialPacket:
    """A packet whose end has not arrived yet. missing: bytes still to come."""

    def __init__(self) -> None:
        self.missing = 0
        self._views: list[memoryview] = []

    def start(self, view: memoryview, missing: int) -> None:
        """Store the beginning of a packet."""
        self._views, self.missing = [view], missing

    def append(self, view: memoryview) -> memoryview:
        """Append the packet's bytes from a read. Return the rest of the read."""
        taken = view[: self.missing]
        self._views.append(taken)
        self.missing -= len(taken)
        return view[len(taken) :]

    def join(self) -> bytes:
        """Return the complete packet."""
        views, self._views = self._views, []
        return b"".join(views)
