"""The short way for what an established connection sends and receives: channels and their data.

asyncssh copies a chunk eight or nine times on its way out and walks a read by cutting its front
off packet by packet. On an established connection with AES-GCM and no compression, a chunk is
sent as slices of one view, and the whole packets of a read are walked in place. The few messages
by which a channel opens, gets credit and closes go the same way, and so do answers to keepalives.
Everything else (logins, a rekey, half a packet, anything odd) takes asyncssh's own way, and both
ways keep the same counters, so they can alternate at any packet. It is on for asyncssh versions
that were tested with it. RFC 4253 section 6 (packets), RFC 4254 section 5.2 (data), RFC 5647
(AES-GCM).
"""

from __future__ import annotations

import logging
import os
import time
from functools import cache
from struct import Struct
from typing import Any

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.connection import SSHConnection
from asyncssh.constants import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_IGNORE,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
    MSG_USERAUTH_LAST,
)
from asyncssh.encryption import GCMEncryption
from asyncssh.packet import PacketDecodeError, SSHPacket
from cryptography.exceptions import InvalidTag

from tunnelkeeper.net.buffers import BufferList
from tunnelkeeper.ssh.fastpath.aes_gcm import TAG_BYTES, CachedGcm, keep
from tunnelkeeper.ssh.fastpath.reassembly import DataBatch, PartialPacket

TESTED = frozenset({"2.24.1"})
IS_TESTED = asyncssh.__version__ in TESTED
ENABLED = IS_TESTED and os.environ.get("TUNNELKEEPER_FASTPATH") != "off"

BLOCK = 16
UINT32 = Struct(">I")
LENGTH = UINT32.size  # packet_length, in the clear with AES-GCM
START_OF_DATA = Struct(">BBII")  # padding_length, message number, channel, length of the data
PREFIX = START_OF_DATA.size
LEAST_PADDING = 4
ANSWERS = frozenset(
    {
        MSG_REQUEST_SUCCESS,
        MSG_REQUEST_FAILURE,
        MSG_CHANNEL_OPEN_CONFIRMATION,
        MSG_CHANNEL_OPEN_FAILURE,
    }
)
"""Served by the connection; the messages below by the channel that they name first."""
CHANNEL_MESSAGES = frozenset({MSG_CHANNEL_WINDOW_ADJUST, MSG_CHANNEL_EOF, MSG_CHANNEL_CLOSE})
EMPTY_STRING = b"\0\0\0\0"

VIEW_FROM = 4096
"""Bytes of data from which a view is worth having: it costs 400 bytes, and the time of a copy of
so many. A peer that sends byte by byte could otherwise fill a window with views alone."""

log = logging.getLogger(__name__)


class FastPathChannel(SSHChannel[bytes]):
    """A channel that sends its data the short way where it can."""

    _conn: Any

    def write(self, data: bytes, datatype: Any = None) -> None:
        """Send data, or keep what the window does not take."""
        seal = None if self._send_buf or datatype is not None else self._fast_path()
        if seal is None or not data:
            super().write(data, datatype)
            return
        view = memoryview(data)
        sent = self._conn.send_data(
            seal, self._send_chan, view[: self._send_window], self._send_pktsize
        )
        self._send_window -= sent
        if sent < len(view):
            self._send_buf.append((bytearray(view[sent:]), None))
            self._send_buf_len += len(view) - sent
            self._flush_send_buf()

    def _flush_send_buf(self) -> None:
        """Send what was kept, as far as the window goes."""
        seal = self._fast_path() if self._send_buf and self._send_window else None
        while seal is not None and self._send_buf and self._send_window:
            chunk, datatype = self._send_buf[0]
            if datatype is not None:
                break
            with memoryview(chunk) as view, view[: self._send_window] as now:
                sent = self._conn.send_data(seal, self._send_chan, now, self._send_pktsize)
            if not sent:  # a key exchange comes first
                break
            if sent == len(chunk):
                del self._send_buf[0]
            else:
                del chunk[:sent]
            self._send_buf_len -= sent
            self._send_window -= sent
        super()._flush_send_buf()

    @property
    def room(self) -> int:
        """Bytes of data that would be in order now: of more, asyncssh says what is wrong."""
        return self._recv_window if self._recv_state == "open" else 0

    @property
    def takes_pieces(self) -> bool:
        """Whether the session takes a BufferList in place of bytes."""
        return getattr(self._session, "takes_pieces", False)

    def accept_data(self, data: Any) -> None:
        """Deliver or queue data that arrived in order."""
        self._accept_data(data)

    def _fast_path(self) -> CachedGcm | None:
        if not ENABLED or self._send_state != "open" or self._encoding or self._conn is None:
            return None
        seal: CachedGcm | None = self._conn.sealer
        return seal


class FastPathConnection(SSHConnection):
    """A connection that walks received data the short way where it can."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._padding, self._padding_at = b"", 0
        self._gathered = DataBatch()
        self._part = PartialPacket()
        if not IS_TESTED:
            _say_that_it_is_off()

    # -- sending -----------------------------------------------------------------------------

    @property
    def sealer(self) -> CachedGcm | None:
        """What seals the next packet; None where asyncssh has to do it."""
        if not (self._kex_complete and self._auth_complete) or self._compressor is not None:
            return None
        return keep(self._send_encryption)

    @property
    def rekey_is_due(self) -> bool:
        """Whether asyncssh would start a key exchange before its next packet."""
        return self._rekey_bytes_sent >= self._rekey_bytes or bool(
            self._rekey_seconds and time.monotonic() >= self._rekey_time
        )

    def send_data(self, seal: CachedGcm, channel: int, data: memoryview, largest: int) -> int:
        """Send CHANNEL_DATA packets, each of `largest` bytes at most; the bytes that went.

        A key exchange that is due stops it.
        """
        size, sent = len(data), 0
        pieces: list[bytes] = []
        while sent < size and not self.rekey_is_due:
            part = data[sent : sent + largest]
            length = PREFIX + len(part)
            padding = _padding(length)
            start = START_OF_DATA.pack(padding, MSG_CHANNEL_DATA, channel, len(part))
            pieces += self._seal(seal, length + padding, start, part, self._random(padding))
            sent += len(part)
        if self._transport is not None:
            self._transport.writelines(pieces)
        return sent

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Send any packet, without asyncssh's empty MSG_IGNORE before it.

        That one hides the chained IV of CBC ciphers; with AES-GCM there is nothing to hide.
        """
        if ENABLED and pkttype > MSG_USERAUTH_LAST and not self.rekey_is_due:
            seal = self.sealer
            if seal is not None:
                size = 2 + sum(map(len, args))
                padding = _padding(size)
                start = bytes((padding, pkttype))
                packet = self._seal(seal, size + padding, start, *args, self._random(padding))
                self._send(b"".join(packet))
                return
        is_empty = pkttype == MSG_IGNORE and args == (EMPTY_STRING,)
        if is_empty and isinstance(self._send_encryption, GCMEncryption):
            return
        super().send_packet(pkttype, *args, handler=handler)

    def _seal(
        self, seal: CachedGcm, length: int, *plain: bytes | memoryview
    ) -> tuple[bytes, bytes]:
        """Make one packet of so many bytes, and count it as sent."""
        header = UINT32.pack(length)
        sealed = seal.seal(header, b"".join(plain))
        self._send_seq = (self._send_seq + 1) & 0xFFFFFFFF
        self._rekey_bytes_sent += length
        return header, sealed

    def _random(self, size: int) -> bytes:
        at = self._padding_at
        if at + size > len(self._padding):
            self._padding, at = os.urandom(4096), 0
        self._padding_at = at + size
        return self._padding[at : at + size]

    # -- receiving ---------------------------------------------------------------------------

    takes_pieces = True
    """What this connection is to the channel of a jump host that it runs through."""

    def data_received(self, data: bytes | BufferList, datatype: Any = None) -> None:
        """Take bytes of the peer."""
        if isinstance(data, BufferList):
            data = b"".join(data.views)
        if not ENABLED:
            super().data_received(data, datatype)
            return
        try:
            self._take_read(data, datatype)
            self._gathered.hand_over()
        except asyncssh.DisconnectError as error:
            self._send_disconnect(error.code, error.reason, error.lang)
            self._force_close(error)
        except Exception:  # noqa: BLE001  as asyncssh does with what its callbacks raise
            self.internal_error()

    def _take_read(self, data: bytes, datatype: Any) -> None:
        if self._inpbuf and self._is_between_packets:
            data, self._inpbuf = b"".join((self._inpbuf, data)), b""
        view = memoryview(data)
        if self._part.missing:
            view = self._part.take(view)
            if self._part.missing:
                return
            self._take(memoryview(self._part.whole()), datatype)
        self._take(view, datatype)

    def _take(self, view: memoryview, datatype: Any) -> None:
        """Serve what is whole of a read, and keep the beginning of a packet behind it."""
        while view and self._transport is not None:  # else the last packet was the end of it
            if self._is_between_packets:
                view = view[self._walk(view) :]
                if not view:
                    return
                missing = self._missing(view)
                if missing:
                    # Left to asyncssh, it would begin with the packet and have to finish it.
                    self._part.begin(view, missing)
                    return
            self._gathered.hand_over()
            other = self._first_packet(view)
            super().data_received(bytes(other), datatype)
            view = view[len(other) :]

    @property
    def _is_between_packets(self) -> bool:
        return self._transport is not None and self._recv_handler == self._recv_pkthdr

    def _missing(self, view: memoryview) -> int:
        """The bytes that are missing to the packet at the front; 0 where only asyncssh can tell."""
        whole = self._length_of_packet(view)
        if whole is None or whole > LENGTH + self._max_recv_pktlen + TAG_BYTES:
            return 0
        return max(0, whole - len(view))

    def _first_packet(self, view: memoryview) -> memoryview:
        """The first packet of a view, where that can be told, else all of it."""
        whole = self._length_of_packet(view) if self._is_between_packets else None
        return view if whole is None else view[:whole]

    def _length_of_packet(self, view: memoryview) -> int | None:
        """The bytes of the packet at the front; None where only asyncssh can tell."""
        if len(view) < LENGTH or keep(self._recv_encryption) is None:
            return None
        (length,) = UINT32.unpack_from(view)
        return LENGTH + int(length) + TAG_BYTES

    def _walk(self, view: memoryview) -> int:
        """Serve whole packets of channels from the front; returns where something else begins."""
        opener = keep(self._recv_encryption)
        if opener is None or self._decompressor or not self._auth_final:
            return 0
        at, end, longest = 0, len(view), self._max_recv_pktlen
        while end - at > LENGTH:
            (length,) = UINT32.unpack_from(view, at)
            body = at + LENGTH
            after = body + length + TAG_BYTES
            if after > end or length > longest:
                break
            try:
                plain = opener.peek(view[at:body], view[body:after])
            except InvalidTag:
                break
            if not self._serve(opener, plain):
                break
            at = after
        return at

    def _serve(self, opener: CachedGcm, plain: bytes) -> bool:
        """Serve one packet; False leaves it to asyncssh."""
        if len(plain) < PREFIX:
            return False
        padding, kind, number, size = START_OF_DATA.unpack_from(plain)
        if kind != MSG_CHANNEL_DATA:
            return (kind in CHANNEL_MESSAGES or kind in ANSWERS) and self._serve_message(
                opener, plain, kind
            )
        end = PREFIX + size
        if not padding or end + padding != len(plain):
            return False
        gathered = self._gathered
        if number != gathered.number:
            channel = self._channels.get(number)
            if not isinstance(channel, FastPathChannel):
                return False
            gathered.begin(number, channel)
        if not 0 < size <= gathered.room:
            return False
        self._consume(opener)
        gathered.add(plain[PREFIX:end] if size < VIEW_FROM else memoryview(plain)[PREFIX:end], size)
        return True

    def _serve_message(self, opener: CachedGcm, plain: bytes, kind: int) -> bool:
        self._gathered.hand_over()
        end = len(plain) - plain[0]
        least = 2 if kind in ANSWERS else 6  # that number, and of the others the channel's
        if not least <= end < len(plain):
            return False
        packet = SSHPacket(plain[2:end])
        handler: Any = self if kind in ANSWERS else self._channels.get(packet.get_uint32())
        if handler is None:
            return False
        number = self._recv_seq
        self._consume(opener)
        try:
            handler.process_packet(kind, number, packet)
        except PacketDecodeError as error:
            raise asyncssh.ProtocolError(str(error)) from None
        return True

    def _consume(self, opener: CachedGcm) -> None:
        opener.advance()
        self._recv_seq = (self._recv_seq + 1) & 0xFFFFFFFF


def _padding(size: int) -> int:
    """The padding of a packet. size: bytes of the message and of the padding's length."""
    padding = -size % BLOCK
    return padding if padding >= LEAST_PADDING else padding + BLOCK


@cache
def _say_that_it_is_off() -> None:
    """Say so once in a process."""
    log.warning(
        "asyncssh %s is none of the versions that the short way for data was tested with (%s); "
        "data takes asyncssh's own way, which is slower",
        asyncssh.__version__,
        ", ".join(sorted(TESTED)),
    )
