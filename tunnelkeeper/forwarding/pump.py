"""The pump of one forwarded connection: two endpoints, mostly a socket and an SSH channel.

`join` connects them: what one endpoint receives, the other sends. Each endpoint pauses its peer
while it cannot send, passes a half-close on, and closes its peer when it is lost. The window of the
channel and the buffer of the socket bound its memory. It opens no connection and no channel.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.net.stream_transport import BufferList, StreamTransport, reset_at_close

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counters:
    """Traffic of one forward. bytes_in came from the SSH server, bytes_out were sent to it."""

    bytes_in: int = 0
    bytes_out: int = 0
    connections: int = 0
    connections_total: int = 0


class PauseReason(Enum):
    """Why an endpoint does not read for now."""

    NO_PEER = "it has no peer yet"
    PEER_WRITE_PAUSED = "its peer cannot send"
    HANDSHAKE = "a SOCKS request waits for its reply"
    STDERR_WRITE_PAUSED = "the standard error of a remote command cannot be written"


class WritePauseReason(Enum):
    """Why a channel cannot send for now."""

    WINDOW = "the peer's window is used up"
    LINK = "the connection's send buffer is full"


class PauseReasons:
    """The reasons for which an endpoint does not read. It reads while there are none."""

    __slots__ = ("_reasons",)

    def __init__(self, *reasons: PauseReason) -> None:
        self._reasons = set(reasons)

    def add(self, reason: PauseReason) -> bool:
        """Add a reason. Return whether it is the first, so that reading must be paused."""
        is_first = not self._reasons
        self._reasons.add(reason)
        return is_first

    def remove(self, reason: PauseReason) -> bool:
        """Remove a reason. Return whether it was the last, so that reading can be resumed."""
        if reason not in self._reasons:
            return False
        self._reasons.remove(reason)
        return not self._reasons


class Peer(Protocol):
    """What an endpoint needs of its peer. The verbs are those of asyncio's transports."""

    def write(self, data: bytes) -> None:
        """Send data."""

    def write_eof(self) -> None:
        """Close for sending after pending data; keep receiving."""

    def pause_reading(self, reason: PauseReason) -> None:
        """Receive nothing until this reason is removed."""

    def resume_reading(self, reason: PauseReason) -> None:
        """Remove a reason and receive again if it was the last."""

    def close(self) -> None:
        """Close after pending data is sent."""

    def abort(self) -> None:
        """Close at once and drop pending data."""


class Endpoint(Peer, Protocol):
    """One of the two ends that `join` connects."""

    peer: Peer | None
    is_closed: bool
    received_eof: bool

    @property
    def is_write_paused(self) -> bool:
        """Whether it cannot send for now."""

    def read_now(self) -> None:
        """Receive what has already arrived, without waiting for the event loop."""


class SocketEndpoint(asyncio.Protocol):
    """The endpoint of a socket: an accepted client or a connected target.

    It reads nothing before it has a peer, so a waiting client costs no memory.
    """

    def __init__(self, on_connected: Callable[[SocketEndpoint], None] | None = None) -> None:
        self.peer: Peer | None = None
        self.is_closed = False
        self.is_write_paused = False
        self.received_eof = False
        self._transport: asyncio.Transport | None = None
        self._pause_reasons = PauseReasons(PauseReason.NO_PEER)
        self._on_connected = on_connected

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with reading paused."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        transport.set_write_buffer_limits(16 * 1024)  # for thousands; the kernel buffers more
        transport.pause_reading()
        if self._on_connected is not None:
            self._on_connected(self)

    @property
    def origin(self) -> tuple[str, int]:
        """The remote address and port; ("", 0) for a Unix socket."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return (name[0], name[1]) if isinstance(name, tuple) else ("", 0)

    def data_received(self, data: bytes) -> None:
        """Pass data to the peer."""
        if self.peer is not None:
            self.peer.write(data)

    def eof_received(self) -> bool:
        """Pass the half-close on and stay open for sending."""
        self.received_eof = True
        if self.peer is not None:
            self.peer.write_eof()
        return True

    def pause_writing(self) -> None:
        """Pause the peer: the socket's send buffer is full."""
        self.is_write_paused = True
        if self.peer is not None:
            self.peer.pause_reading(PauseReason.PEER_WRITE_PAUSED)

    def resume_writing(self) -> None:
        """Resume the peer: the socket's send buffer has drained."""
        self.is_write_paused = False
        if self.peer is not None:
            self.peer.resume_reading(PauseReason.PEER_WRITE_PAUSED)

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the peer. What the socket sent before an orderly end still goes out."""
        self.is_closed = True
        self._transport = None
        peer, self.peer = self.peer, None
        if peer is None:
            return
        if exc is None or self.received_eof:
            peer.close()
        else:
            peer.abort()

    def write(self, data: bytes | BufferList) -> None:
        """Send data to the socket."""
        if self._transport is None:
            return
        if isinstance(data, BufferList):
            self._transport.writelines(data.views)
        else:
            self._transport.write(data)

    def write_eof(self) -> None:
        """Send EOF after pending data. Close the socket if it has already received EOF."""
        if self._transport is None or self._transport.is_closing():
            return
        if self.received_eof:
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # the socket was reset, which is not noticed while it is not read
            self._transport.abort()

    def pause_reading(self, reason: PauseReason) -> None:
        """Read nothing until this reason is removed."""
        if self._pause_reasons.add(reason) and self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self, reason: PauseReason) -> None:
        """Remove a reason and read again if it was the last."""
        if self._pause_reasons.remove(reason) and self._transport is not None:
            self._transport.resume_reading()

    def read_now(self) -> None:
        """Receive what arrived while there was no peer, unless reading is paused."""
        if isinstance(self._transport, StreamTransport):
            self._transport.read_now()

    def close(self) -> None:
        """Close the socket after pending data is sent."""
        self.peer = None
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Reset the socket: after an orderly end the other side would take the data for whole."""
        self.peer = None
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            reset_at_close(sock)
        self._transport.abort()


class ChannelEndpoint:
    """The endpoint of an SSH channel: asyncssh's session, called by the channel.

    on_connected is called once the channel is open; it gives this endpoint its peer. asyncssh
    closes the whole connection if a callback raises, so each one catches its own exceptions.
    """

    def __init__(self, counters: Counters, on_connected: Callable[[ChannelEndpoint], None]) -> None:
        self.peer: Peer | None = None
        self.is_closed = False
        self.received_eof = False
        self.on_closed: Callable[[], None] | None = None
        self._counters = counters
        self._on_connected = on_connected
        self._channel: Any = None
        self._pause_reasons = PauseReasons()
        self._write_pause_reasons: set[WritePauseReason] = set()

    @property
    def accepts_buffer_list(self) -> bool:
        """Whether data may come as a BufferList: a socket sends its pieces without joining them."""
        return isinstance(self.peer, SocketEndpoint)

    @property
    def is_write_paused(self) -> bool:
        """Whether the channel cannot send for now."""
        return bool(self._write_pause_reasons)

    def connection_made(self, channel: Any) -> None:
        """Count the open channel and call on_connected."""
        self._channel = channel
        self._counters.connections += 1
        self._counters.connections_total += 1
        try:
            self._on_connected(self)
        except Exception as error:
            self._contain(error)

    def abandon(self) -> None:
        """Give up a channel that will never open: on_connected gets a closed endpoint."""
        self.is_closed = True
        self._on_connected(self)

    def session_started(self) -> None:
        """Do nothing: asyncssh's session interface has this, and the channel is open already."""

    def data_received(self, data: bytes, datatype: Any = None) -> None:
        """Pass data to the peer."""
        self._counters.bytes_in += len(data)
        try:
            if self.peer is not None:
                self.peer.write(data)
        except Exception as error:
            self._contain(error)

    def eof_received(self) -> bool:
        """Pass the half-close on and stay open for sending."""
        self.received_eof = True
        try:
            if self.peer is not None:
                self.peer.write_eof()
        except Exception as error:
            self._contain(error)
        return True

    def pause_writing(self) -> None:
        """Pause the peer: the window is used up."""
        self.pause_link(WritePauseReason.WINDOW)

    def resume_writing(self) -> None:
        """Resume the peer: the window is open again."""
        self.resume_link(WritePauseReason.WINDOW)

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the peer: the channel is lost, alone or with its connection."""
        self.is_closed = True
        self._channel = None
        self._counters.connections -= 1
        peer, self.peer = self.peer, None
        try:
            if peer is not None and exc is None:
                peer.close()
            elif peer is not None:
                peer.abort()
        except Exception as error:
            self._contain(error)
        if self.on_closed is not None:
            self.on_closed()

    def pause_link(self, reason: WritePauseReason = WritePauseReason.LINK) -> None:
        """Pause the peer: the channel cannot send until this reason is removed."""
        self._write_pause_reasons.add(reason)
        if self.peer is not None:
            self.peer.pause_reading(PauseReason.PEER_WRITE_PAUSED)

    def resume_link(self, reason: WritePauseReason = WritePauseReason.LINK) -> None:
        """Remove a reason and resume the peer if it was the last."""
        self._write_pause_reasons.discard(reason)
        if not self._write_pause_reasons and self.peer is not None:
            self.peer.resume_reading(PauseReason.PEER_WRITE_PAUSED)

    def write(self, data: bytes) -> None:
        """Send data into the channel."""
        if self._channel is None:
            return
        try:
            self._channel.write(data)
        except BrokenPipeError:
            return  # the far side closed the channel; data that it sent before may still arrive
        self._counters.bytes_out += len(data)

    def write_eof(self) -> None:
        """Send EOF after pending data. Close the channel if it has already received EOF."""
        if self._channel is None:
            return
        if self.received_eof:
            self._channel.close()
        else:
            self._channel.write_eof()

    def pause_reading(self, reason: PauseReason) -> None:
        """Take nothing from the channel, whose window then fills, until this reason is removed."""
        if self._pause_reasons.add(reason) and self._channel is not None:
            self._channel.pause_reading()

    def resume_reading(self, reason: PauseReason) -> None:
        """Remove a reason and take data again if it was the last."""
        if self._pause_reasons.remove(reason) and self._channel is not None:
            self._channel.resume_reading()

    def read_now(self) -> None:
        """Do nothing: a channel delivers what it holds as soon as reading resumes."""

    def close(self) -> None:
        """Close the channel after pending data is sent."""
        self.peer = None
        if self._channel is not None:
            self._channel.close()

    def abort(self) -> None:
        """Close the channel at once."""
        self.peer = None
        if self._channel is not None:
            self._channel.abort()

    def _contain(self, error: Exception) -> None:
        end_if_out_of_memory()
        log.error("a forwarded connection failed and is closed", exc_info=error)
        if self._channel is not None:
            self._channel.abort()


def join(first: Endpoint, second: Endpoint) -> None:
    """Make two open endpoints each other's peer. If one is closed, abort the other."""
    if first.is_closed or second.is_closed:
        (second if first.is_closed else first).abort()
        return
    first.peer, second.peer = second, first
    pairs = ((first, second), (second, first))
    for end, peer in pairs:
        if end.is_write_paused:
            peer.pause_reading(PauseReason.PEER_WRITE_PAUSED)
    for end, peer in pairs:
        if end.received_eof:
            peer.write_eof()
    for reason in (PauseReason.HANDSHAKE, PauseReason.NO_PEER):
        for end in (first, second):
            end.resume_reading(reason)
    for end in (first, second):
        end.read_now()  # most clients have sent their request by now
