"""The pump of one forwarded connection: a socket on one side, an SSH channel on the other.

Two ends are joined; what one receives the other sends. Each end holds the other back when it can
take no more, passes a half-close on, and takes the other with it when it is gone. Memory is
bounded by the window of the channel and the buffer of the socket. Nothing here opens anything.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from tunnelkeeper.net.buffers import BufferList
from tunnelkeeper.net.stream_transport import StreamTransport, reset_at_close

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counters:
    """Traffic of one forward. Bytes in came out of SSH, bytes out were sent into it."""

    bytes_in: int = 0
    bytes_out: int = 0
    connections: int = 0
    connections_total: int = 0


class PauseReason(Enum):
    """Why an end receives nothing for now."""

    ALONE = "there is no peer yet"
    PEER_IS_FULL = "the peer can take no more"
    HANDSHAKE = "a SOCKS request is being served"
    ERRORS_ARE_FULL = "a program's standard error takes no more"


class WritePauseReason(Enum):
    """Why a channel can send nothing for now."""

    WINDOW = "the other side's window is used up"
    LINK = "the connection below takes no more"


class Endpoint(Protocol):
    """What one side of a pump asks of the other."""

    def write(self, data: bytes) -> None:
        """Send data."""

    def write_eof(self) -> None:
        """No more data will come: close for sending, keep receiving."""

    def pause_reading(self, cause: PauseReason) -> None:
        """Receive no more for now."""

    def resume_reading(self, cause: PauseReason) -> None:
        """Receive again, as far as this cause goes."""

    def end(self, *, clean: bool) -> None:
        """Close, as the other side is gone; clean: after what was fed is sent, else at once."""


class SocketEndpoint(asyncio.Protocol):
    """The socket side: a client that was accepted, or a target that was connected to.

    Until a peer is there nothing is read, so a client that waits costs no memory.
    """

    def __init__(self, on_made: Callable[[SocketEndpoint], None] | None = None) -> None:
        self.peer: Endpoint | None = None
        self.is_gone = False
        self.is_full = False
        self.got_eof = False
        self._transport: asyncio.Transport | None = None
        self._holds = {PauseReason.ALONE}
        self._on_made = on_made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, holding."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        transport.pause_reading()
        if self._on_made is not None:
            self._on_made(self)

    @property
    def origin(self) -> tuple[str, int]:
        """The address and port of the other side; of a Unix socket, nothing."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return (name[0], name[1]) if isinstance(name, tuple) else ("", 0)

    def data_received(self, data: bytes) -> None:
        """Hand data to the peer."""
        if self.peer is not None:
            self.peer.write(data)

    def eof_received(self) -> bool:
        """Hand the half-close on and stay open for the other direction."""
        self.got_eof = True
        if self.peer is not None:
            self.peer.write_eof()
        return True

    def pause_writing(self) -> None:
        """The socket takes no more: hold the peer."""
        self.is_full = True
        if self.peer is not None:
            self.peer.pause_reading(PauseReason.PEER_IS_FULL)

    def resume_writing(self) -> None:
        """The socket drains: release the peer."""
        self.is_full = False
        if self.peer is not None:
            self.peer.resume_reading(PauseReason.PEER_IS_FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone; what it sent before a proper end still goes out."""
        self.is_gone = True
        self._transport = None
        peer, self.peer = self.peer, None
        if peer is not None:
            peer.end(clean=exc is None or self.got_eof)

    def write(self, data: bytes | BufferList) -> None:
        """Send data to the socket."""
        if self._transport is None:
            return
        if isinstance(data, BufferList):
            self._transport.writelines(data.views)
        else:
            self._transport.write(data)

    def write_eof(self) -> None:
        """Close the socket for sending, after what was fed; wholly if it has ended too."""
        if self._transport is None or self._transport.is_closing():
            return
        if self.got_eof:
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # it was reset, which a socket that is not read does not notice
            self._transport.abort()

    def pause_reading(self, cause: PauseReason) -> None:
        """Read no more."""
        if not self._holds and self._transport is not None:
            self._transport.pause_reading()
        self._holds.add(cause)

    def resume_reading(self, cause: PauseReason) -> None:
        """Read again once nothing holds."""
        if cause not in self._holds:
            return
        self._holds.discard(cause)
        if not self._holds and self._transport is not None:
            self._transport.resume_reading()

    def read_now(self) -> None:
        """Receive what came while there was no peer, if nothing holds."""
        if isinstance(self._transport, StreamTransport):
            self._transport.read_now()

    def end(self, *, clean: bool) -> None:
        """Close the socket."""
        self.peer = None
        if self._transport is None:
            return
        if clean:
            self._transport.close()
            return
        # A reset, not an orderly end: whoever is at the other side must not take it for the whole.
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            reset_at_close(sock)
        self._transport.abort()


class ChannelEndpoint:
    """The SSH side: a session in asyncssh's sense, called by its channel.

    An exception that left one of these callbacks would close the whole connection, so each
    contains its own. on_made is called once the channel is open and gives this end its peer.
    """

    def __init__(self, counters: Counters, on_made: Callable[[ChannelEndpoint], None]) -> None:
        self.peer: Endpoint | None = None
        self.is_gone = False
        self.got_eof = False
        self.on_gone: Callable[[], None] | None = None
        self._counters = counters
        self._on_made = on_made
        self._channel: Any = None
        self._holds: set[PauseReason] = set()
        self._stalls: set[WritePauseReason] = set()

    @property
    def takes_pieces(self) -> bool:
        """Whether data may come in several pieces at once: a socket takes them as they are."""
        return isinstance(self.peer, SocketEndpoint)

    @property
    def is_stalled(self) -> bool:
        """Whether nothing can be sent for now."""
        return bool(self._stalls)

    def connection_made(self, channel: Any) -> None:
        """The channel is open."""
        self._channel = channel
        self._counters.connections += 1
        self._counters.connections_total += 1
        try:
            self._on_made(self)
        except Exception as error:
            self._contain(error)

    def abandon(self) -> None:
        """The channel will never open: on_made is called all the same, and finds it gone."""
        self.is_gone = True
        self._on_made(self)

    def session_started(self) -> None:
        """Part of asyncssh's session interface; says nothing new here."""

    def data_received(self, data: bytes, datatype: Any = None) -> None:
        """Hand data to the peer."""
        self._counters.bytes_in += len(data)
        try:
            if self.peer is not None:
                self.peer.write(data)
        except Exception as error:
            self._contain(error)

    def eof_received(self) -> bool:
        """Hand the half-close on and stay open for the other direction."""
        self.got_eof = True
        try:
            if self.peer is not None:
                self.peer.write_eof()
        except Exception as error:
            self._contain(error)
        return True

    def pause_writing(self) -> None:
        """The window is used up."""
        self.pause_link(WritePauseReason.WINDOW)

    def resume_writing(self) -> None:
        """The window is open again."""
        self.resume_link(WritePauseReason.WINDOW)

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is gone, by itself or with its connection."""
        self.is_gone = True
        self._channel = None
        self._counters.connections -= 1
        peer, self.peer = self.peer, None
        try:
            if peer is not None:
                peer.end(clean=exc is None)
        except Exception as error:
            self._contain(error)
        if self.on_gone is not None:
            self.on_gone()

    def pause_link(self, cause: WritePauseReason = WritePauseReason.LINK) -> None:
        """Nothing more can be sent for now: hold the peer."""
        self._stalls.add(cause)
        if self.peer is not None:
            self.peer.pause_reading(PauseReason.PEER_IS_FULL)

    def resume_link(self, cause: WritePauseReason = WritePauseReason.LINK) -> None:
        """Sending is possible again, as far as this cause goes."""
        self._stalls.discard(cause)
        if not self._stalls and self.peer is not None:
            self.peer.resume_reading(PauseReason.PEER_IS_FULL)

    def write(self, data: bytes) -> None:
        """Send data into the channel."""
        if self._channel is None:
            return
        try:
            self._channel.write(data)
        except BrokenPipeError:
            return  # the far side closed the channel; what it sent before is still on its way here
        self._counters.bytes_out += len(data)

    def write_eof(self) -> None:
        """Close the channel for sending, after what was fed; wholly if it has ended too."""
        if self._channel is None:
            return
        if self.got_eof:
            self._channel.close()
        else:
            self._channel.write_eof()

    def pause_reading(self, cause: PauseReason) -> None:
        """Take no more from the channel; its window will close."""
        if not self._holds and self._channel is not None:
            self._channel.pause_reading()
        self._holds.add(cause)

    def resume_reading(self, cause: PauseReason) -> None:
        """Take data again once nothing holds."""
        if cause not in self._holds:
            return
        self._holds.discard(cause)
        if not self._holds and self._channel is not None:
            self._channel.resume_reading()

    def end(self, *, clean: bool) -> None:
        """Close the channel."""
        self.peer = None
        if self._channel is None:
            return
        if clean:
            self._channel.close()
        else:
            self._channel.abort()

    def _contain(self, error: Exception) -> None:
        log.error("a forwarded connection failed and is closed", exc_info=error)
        if self._channel is not None:
            self._channel.abort()


def join(socket: SocketEndpoint, channel: ChannelEndpoint) -> None:
    """Let two open ends serve each other from now on."""
    if socket.is_gone:
        channel.end(clean=False)
        return
    if channel.is_gone:
        socket.end(clean=False)
        return
    socket.peer, channel.peer = channel, socket
    if channel.is_stalled:
        socket.pause_reading(PauseReason.PEER_IS_FULL)
    if socket.is_full:
        channel.pause_reading(PauseReason.PEER_IS_FULL)
    if socket.got_eof:
        channel.write_eof()
    if channel.got_eof:
        socket.write_eof()
    for cause in (PauseReason.HANDSHAKE, PauseReason.ALONE):
        socket.resume_reading(cause)
        channel.resume_reading(cause)
    socket.read_now()  # a client has mostly sent its request by now
