"""A connected socket as an asyncio transport, with less between the socket and its protocol.

asyncio's own starts each accepted connection in a task, three turns of the loop after the accept,
and moves what a socket did not take to the front of one buffer, byte by byte. A tunnel opens
thousands of connections and moves gigabytes, so both show. Here a connection is made in the turn
that accepts it; what a socket did not take waits in pieces, and goes out with as few system calls
as it can. It runs on loops that watch file descriptors.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

READ_SIZE = 256 * 1024
"""Bytes of one read; as asyncio has it."""

HIGH_WATER = 64 * 1024
LOW_WATER = 16 * 1024
"""Bytes that wait when the protocol is told to pause and to go on; as asyncio has them."""

PIECES = 64
"""Of what waits, so many go into one call; POSIX allows 16 at least, Linux and macOS 1024."""

NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER of socket(7), for 0 s."""

log = logging.getLogger(__name__)


def reset_at_close(sock: socket.socket) -> None:
    """Let closing a socket send a reset in place of an orderly end."""
    with suppress(OSError):  # it is reset already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)


@dataclass(frozen=True, slots=True)
class BufferList:
    """Bytes in several buffers, in order, passed on without being copied into one."""

    views: Sequence[bytes | memoryview]
    size: int

    def __len__(self) -> int:
        """Return the number of bytes in all buffers."""
        return self.size


class StreamTransport(asyncio.Transport):
    """One connected, non-blocking stream socket."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        peername: Any = None,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._peername = peername
        self._waiting: deque[bytes | memoryview] = deque()
        self._size = 0
        self._high, self._low = HIGH_WATER, LOW_WATER
        self._is_reading = True
        self._is_watched = False  # by the loop, for what can be read
        self._is_full = False
        self._is_closing = False
        self._is_lost = False
        self._at_eof = False
        self._wants_eof = False
        self._protocol: Any = protocol
        self._protocol.connection_made(self)
        if self._is_reading:
            self._watch()

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is served."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Serve somebody else from now on."""
        self._protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket, or its peername or sockname."""
        match name:
            case "socket":
                return self._sock
            case "peername":
                return self._peername
            case "sockname" if self._sock.fileno() != -1:
                return self._sock.getsockname()
        return default

    # -- receiving ---------------------------------------------------------------------------

    def is_reading(self) -> bool:
        """Whether the protocol receives."""
        return self._is_reading

    def pause_reading(self) -> None:
        """Receive no more for now."""
        self._is_reading = False
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        """Receive, unless the other side has ended already."""
        if not (self._is_reading or self._is_closing or self._at_eof):
            self._is_reading = True
            self._watch()

    def read_now(self) -> None:
        """Receive what is there already, in this turn of the loop."""
        if self._is_watched:
            self._readable()

    def _watch(self) -> None:
        self._is_watched = True
        self._loop.add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(error)
            return
        try:
            if data:
                self._protocol.data_received(data)
                return
            self._at_eof = True
            self.pause_reading()
            if not self._protocol.eof_received():
                self.close()
        except Exception as error:
            log.exception("an internal fault; please report it: a connection is closed for it")
            self._fail(error)

    # -- sending -----------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send data, or keep what the socket does not take; it is not changed meanwhile."""
        if self._is_lost or self._wants_eof or not data:
            return
        if not self._waiting:
            try:
                sent = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self._fail(error)
                return
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
        self._buffer(data)

    def _buffer(self, data: bytes | bytearray | memoryview) -> None:
        if not self._waiting:
            self._loop.add_writer(self._fd, self._writable)
        self._waiting.append(bytes(data) if isinstance(data, bytearray) else data)
        self._size += len(data)
        if self._size > self._high and not self._is_full:
            self._is_full = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send several pieces, at best in one call, or keep what the socket does not take."""
        pieces = [piece for piece in list_of_data if piece]
        if self._waiting or self._is_lost or self._wants_eof or len(pieces) > PIECES:
            for piece in pieces:
                self.write(piece)
            return
        try:
            sent = self._sock.sendmsg(pieces)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._fail(error)
            return
        for piece in pieces:
            if sent >= len(piece):
                sent -= len(piece)
            else:
                self._buffer(memoryview(piece)[sent:])
                sent = 0

    def write_eof(self) -> None:
        """Send no more, once what waits is sent. Raises OSError where the socket is reset."""
        if self._wants_eof or self._is_closing:
            return
        self._wants_eof = True
        if not self._waiting:
            self._sock.shutdown(socket.SHUT_WR)

    def can_write_eof(self) -> bool:
        """Always."""
        return True

    def get_write_buffer_size(self) -> int:
        """Bytes that wait."""
        return self._size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Bytes: low, high."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Bytes that may wait before the protocol is paused, and until it goes on."""
        self._high = high if high is not None else HIGH_WATER if low is None else 4 * low
        self._low = low if low is not None else self._high // 4

    def _writable(self) -> None:
        try:
            sent = self._sock.sendmsg(islice(self._waiting, PIECES))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(error)
            return
        self._consume(sent)
        if self._is_full and self._size <= self._low:
            self._is_full = False
            self._protocol.resume_writing()
        if self._waiting:
            return
        self._loop.remove_writer(self._fd)
        if self._is_closing:
            self._end(None)
        elif self._wants_eof:
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._fail(error)

    def _consume(self, sent: int) -> None:
        self._size -= sent
        while sent:
            first = self._waiting[0]
            if sent < len(first):
                self._waiting[0] = memoryview(first)[sent:]
                return
            sent -= len(first)
            self._waiting.popleft()

    # -- the end -----------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether the end is near, or past."""
        return self._is_closing

    def close(self) -> None:
        """Receive no more, and end once what waits is sent."""
        if self._is_closing:
            return
        self._is_closing = True
        self.pause_reading()
        if not self._waiting:
            self._end(None)

    def abort(self) -> None:
        """End now; what waits is gone."""
        self._fail(None)

    def _fail(self, error: Exception | None) -> None:
        """End for a reason; what waits is gone."""
        if self._is_lost:
            return
        self._is_closing = True
        self.pause_reading()
        if self._waiting:
            self._waiting.clear()
            self._size = 0
            self._loop.remove_writer(self._fd)
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        # In a later turn: whoever asked for the end is not called from within.
        self._is_lost = True
        self._loop.call_soon(self._ended, error)

    def _ended(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._sock.close()
