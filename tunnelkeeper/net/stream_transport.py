"""A stream transport for connected sockets, with less overhead than asyncio's own.

asyncio starts each accepted connection in a task, three turns of the loop after the accept, and
moves unsent data to the front of one buffer, byte by byte. A tunnel opens thousands of connections
and carries gigabytes, so both are measurable. This transport calls connection_made() in the turn
that accepts the client, keeps unsent data in a queue of buffers, and sends many of them in one
system call. It needs a loop with add_reader() and add_writer(), and supports neither TLS nor
datagrams.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tunnelkeeper.net.out_of_memory import end_if_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

READ_SIZE = 256 * 1024
"""Bytes of one recv(), as in asyncio."""

HIGH_WATER = 64 * 1024
LOW_WATER = 16 * 1024
"""Unsent bytes at which pause_writing() and resume_writing() are called, as in asyncio."""

MAX_BUFFERS = 64
"""Buffers in one sendmsg(). IOV_MAX is at least 16 in POSIX, and 1024 on Linux and macOS."""

SMALL = 512
JOINED = 16 * 1024
"""Buffers below SMALL bytes are joined in the queue, up to JOINED bytes. Single bytes would take
fifty times their size."""

NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of 0 s (socket(7)): close() resets the connection."""

log = logging.getLogger(__name__)


def reset_at_close(sock: socket.socket) -> None:
    """Make close() send a reset in place of a FIN."""
    with suppress(OSError):  # the peer has reset it
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)


class BufferList(Struct, frozen=True):
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
        self._pending: deque[bytes | bytearray | memoryview] = deque()
        self._pending_size = 0
        self._high, self._low = HIGH_WATER, LOW_WATER
        self._is_reading = True
        self._has_reader = False
        self._is_protocol_paused = False
        self._is_closing = False
        self._is_closed = False
        self._is_eof_received = False
        self._is_eof_requested = False
        self._protocol: Any = protocol
        self._protocol.connection_made(self)
        if self._is_reading:
            self._add_reader()

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Set the protocol."""
        self._protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return `socket`, `peername` or `sockname`; otherwise the default."""
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
        """Return whether the transport is reading."""
        return self._is_reading

    def pause_reading(self) -> None:
        """Pause reading."""
        self._is_reading = False
        if self._has_reader:
            self._has_reader = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        """Resume reading, unless the peer has sent EOF."""
        if not (self._is_reading or self._is_closing or self._is_eof_received):
            self._is_reading = True
            self._add_reader()

    def read_now(self) -> None:
        """Read available data at once, without waiting for the loop."""
        if self._has_reader:
            self._read_ready()

    def _add_reader(self) -> None:
        self._has_reader = True
        self._loop.add_reader(self._fd, self._read_ready)

    def _read_ready(self) -> None:
        try:
            data = self._sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._force_close(error)
            return
        try:
            if data:
                self._protocol.data_received(data)
                return
            self._is_eof_received = True
            self.pause_reading()
            if not self._protocol.eof_received():
                self.close()
        except Exception as error:
            end_if_out_of_memory()
            log.exception("an internal fault; please report it: a connection is closed for it")
            self._force_close(error)

    # -- sending -----------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send data; queue what the socket does not accept.

        A bytearray is copied into the queue. A memoryview is not: its buffer must not change.
        """
        if self._is_closed or self._is_eof_requested or not data:
            return
        if not self._pending:
            try:
                sent = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self._force_close(error)
                return
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
        self._buffer(data)

    def _buffer(self, data: bytes | bytearray | memoryview) -> None:
        if not self._pending:
            self._loop.add_writer(self._fd, self._write_ready)
        self._pending_size += len(data)
        tail = self._pending[-1] if self._pending else None
        if len(data) >= SMALL:
            self._pending.append(bytes(data) if isinstance(data, bytearray) else data)
        elif isinstance(tail, bytearray) and len(tail) < JOINED:
            tail += data
        else:
            self._pending.append(bytearray(data))
        if self._pending_size > self._high and not self._is_protocol_paused:
            self._is_protocol_paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send several buffers, if possible in one call; queue what the socket does not accept."""
        buffers = [buffer for buffer in list_of_data if buffer]
        if self._pending or self._is_closed or self._is_eof_requested or len(buffers) > MAX_BUFFERS:
            for buffer in buffers:
                self.write(buffer)
            return
        try:
            sent = self._sock.sendmsg(buffers)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._force_close(error)
            return
        for buffer in buffers:
            if sent >= len(buffer):
                sent -= len(buffer)
            else:
                self._buffer(memoryview(buffer)[sent:])
                sent = 0

    def write_eof(self) -> None:
        """Send EOF after the queued data.

        Raises OSError if the peer has reset the connection.
        """
        if self._is_eof_requested or self._is_closing:
            return
        self._is_eof_requested = True
        if not self._pending:
            self._sock.shutdown(socket.SHUT_WR)

    def can_write_eof(self) -> bool:
        """Return True."""
        return True

    def get_write_buffer_size(self) -> int:
        """Return the number of queued bytes."""
        return self._pending_size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and high water marks in bytes."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the water marks in bytes; a missing one follows from the other, as in asyncio."""
        self._high = high if high is not None else HIGH_WATER if low is None else 4 * low
        self._low = low if low is not None else self._high // 4

    def _write_ready(self) -> None:
        try:
            sent = self._sock.sendmsg(islice(self._pending, MAX_BUFFERS))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._force_close(error)
            return
        self._consume(sent)
        if self._is_protocol_paused and self._pending_size <= self._low:
            self._is_protocol_paused = False
            self._protocol.resume_writing()
        if self._pending:
            return
        self._loop.remove_writer(self._fd)
        if self._is_closing:
            self._schedule_connection_lost(None)
        elif self._is_eof_requested:
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._force_close(error)

    def _consume(self, sent: int) -> None:
        self._pending_size -= sent
        while sent:
            first = self._pending[0]
            if sent < len(first):
                self._pending[0] = memoryview(first)[sent:]
                return
            sent -= len(first)
            self._pending.popleft()

    # -- closing -----------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Return whether the transport is closing or closed."""
        return self._is_closing

    def close(self) -> None:
        """Stop reading, and close after the queued data is sent."""
        if self._is_closing:
            return
        self._is_closing = True
        self.pause_reading()
        if not self._pending:
            self._schedule_connection_lost(None)

    def abort(self) -> None:
        """Close at once and drop the queued data."""
        self._force_close(None)

    def _force_close(self, error: Exception | None) -> None:
        """Close at once with an error and drop the queued data."""
        if self._is_closed:
            return
        self._is_closing = True
        self.pause_reading()
        if self._pending:
            self._pending.clear()
            self._pending_size = 0
            self._loop.remove_writer(self._fd)
        self._schedule_connection_lost(error)

    def _deliver_last_data(self) -> None:
        """Deliver what arrived before the peer closed, which sending has detected first."""
        with suppress(OSError):
            data = self._sock.recv(READ_SIZE)
            if data:
                self._protocol.data_received(data)

    def _schedule_connection_lost(self, error: Exception | None) -> None:
        # As in asyncio, connection_lost() is never called from within close() or write().
        self._is_closed = True
        self._loop.call_soon(self._call_connection_lost, error)

    def _call_connection_lost(self, error: Exception | None) -> None:
        try:
            if error is not None and getattr(self._protocol, "wants_last_data", False):
                self._deliver_last_data()
            self._protocol.connection_lost(error)
        finally:
            self._sock.close()
