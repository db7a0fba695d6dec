"""The fast path for channel data and channel messages of an established connection.

asyncssh copies a chunk eight or nine times before it is sent, and removes each received packet by
copying the rest of the read. With AES-GCM and no compression, the fast path sends a chunk as slices
of one view and processes the complete packets of a read in place. It also handles the messages that
open, credit and close a channel, and the replies to keepalives. It leaves everything else (logins,
key exchanges, unusual packets) to asyncssh. Both paths keep the same counters, so they can
alternate at any packet. The fast path overrides private methods of asyncssh and is enabled only
for the tested version, 2.24.1. RFC 4253 section 6 (packets), RFC 4254 section 5.2 (data), RFC 5647
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

from tunnelkeeper.ssh.fastpath.aes_gcm import TAG_BYTES, CachedGcm, install_cached_gcm
from tunnelkeeper.ssh.fastpath.reassembly import DataBatch, PartialPacket
from tunnelkeeper.ssh.fastpath.turns import TurnConnection

TESTED_VERSIONS = frozenset({"2.24.1"})
IS_TESTED_VERSION = asyncssh.__version__ in TESTED_VERSIONS
ENABLED = IS_TESTED_VERSION and os.environ.get("TUNNELKEEPER_FASTPATH") != "off"

BLOCK_BYTES = 16
UINT32 = Struct(">I")
LENGTH_BYTES = UINT32.size  # packet_length, in the clear with AES-GCM
DATA_HEADER = Struct(">BBII")  # padding_length, message number, channel, length of the data
DATA_HEADER_BYTES = DATA_HEADER.size
MIN_PADDING = 4
CONNECTION_MESSAGES = frozenset(
    {
        MSG_REQUEST_SUCCESS,
        MSG_REQUEST_FAILURE,
        MSG_CHANNEL_OPEN_CONFIRMATION,
        MSG_CHANNEL_OPEN_FAILURE,
    }
)
"""Messages that the connection handles."""
CHANNEL_MESSAGES = frozenset({MSG_CHANNEL_WINDOW_ADJUST, MSG_CHANNEL_EOF, MSG_CHANNEL_CLOSE})
"""Messages that a channel handles. Their first field is the channel number."""
EMPTY_STRING = b"\0\0\0\0"

MIN_VIEW_BYTES = 4096
"""Bytes of data from which a view is cheaper than a copy. A view takes 400 bytes of memory and as
much time as a copy of 4096 bytes. Without this limit, a peer that sends single bytes could fill a
window with views."""

log = logging.getLogger(__name__)


class FastPathChannel(SSHChannel[bytes]):
    """A channel that sends its data on the fast path if possible."""

    _conn: Any

    def write(self, data: bytes, datatype: Any = None) -> None:
        """Send data. Buffer what exceeds the send window."""
        cipher = None if self._send_buf or datatype is not None else self._fast_path_cipher()
        if cipher is None or not data:
            super().write(data, datatype)
            return
        view = memoryview(data)
        sent = self._conn.send_data(
            cipher, self._send_chan, view[: self._send_window], self._send_pktsize
        )
        self._send_window -= sent
        if sent < len(view):
            self._send_buf.append((bytearray(view[sent:]), None))
            self._send_buf_len += len(view) - sent
            self._flush_send_buf()

    def _flush_send_buf(self) -> None:
        """Send buffered data as far as the send window allows."""
        cipher = self._fast_path_cipher() if self._send_buf and self._send_window else None
        while cipher is not None and self._send_buf and self._send_window:
            chunk, datatype = self._send_buf[0]
            if datatype is not None:
                break
            with memoryview(chunk) as view, view[: self._send_window] as now:
                sent = self._conn.send_data(cipher, self._send_chan, now, self._send_pktsize)
            if not sent:  # a key exchange is due
                break
            if sent == len(chunk):
                del self._send_buf[0]
            else:
                del chunk[:sent]
            self._send_buf_len -= sent
            self._send_window -= sent
        super()._flush_send_buf()

    @property
    def remaining_window(self) -> int:
        """Bytes that the peer may still send. asyncssh reports the error if it sends more."""
        return self._recv_window if self._recv_state == "open" else 0

    @property
    def accepts_buffer_list(self) -> bool:
        """Whether the session accepts a BufferList instead of bytes."""
        return getattr(self._session, "accepts_buffer_list", False)

    def accept_data(self, data: Any) -> None:
        """Deliver or queue data that arrived within the receive window."""
        self._accept_data(data)

    def _fast_path_cipher(self) -> CachedGcm | None:
        if not ENABLED or self._send_state != "open" or self._encoding or self._conn is None:
            return None
        cipher: CachedGcm | None = self._conn.send_cipher
        return cipher


class FastPathConnection(TurnConnection):
    """A connection that processes received data on the fast path if possible."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._padding_pool, self._padding_offset = b"", 0
        self._batch = DataBatch()
        self._partial_packet = PartialPacket()
        if not IS_TESTED_VERSION:
            _warn_untested_version()

    # -- sending -----------------------------------------------------------------------------

    @property
    def send_cipher(self) -> CachedGcm | None:
        """The cipher that seals the next packet; None if asyncssh must send it."""
        if not (self._kex_complete and self._auth_complete) or self._compressor is not None:
            return None
        return install_cached_gcm(self._send_encryption)

    @property
    def is_rekey_due(self) -> bool:
        """Whether asyncssh would start a key exchange before its next packet."""
        return self._rekey_bytes_sent >= self._rekey_bytes or bool(
            self._rekey_seconds and time.monotonic() >= self._rekey_time
        )

    def send_data(
        self, cipher: CachedGcm, channel: int, data: memoryview, max_packet_size: int
    ) -> int:
        """Send data in CHANNEL_DATA packets. Return the number of bytes sent.

        Sending stops when a key exchange is due.
        """
        size, sent = len(data), 0
        pieces: list[bytes] = []
        while sent < size and not self.is_rekey_due:
            chunk = data[sent : sent + max_packet_size]
            length = DATA_HEADER_BYTES + len(chunk)
            padding = _padding_size(length)
            start = DATA_HEADER.pack(padding, MSG_CHANNEL_DATA, channel, len(chunk))
            pieces += self._seal_packet(
                cipher, length + padding, start, chunk, self._random_padding(padding)
            )
            sent += len(chunk)
        if self._transport is not None:
            self._transport.writelines(pieces)
        return sent

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Send a packet without the empty MSG_IGNORE that asyncssh sends before it.

        That message hides the chained IV of CBC ciphers. AES-GCM does not need it.
        """
        if ENABLED and pkttype > MSG_USERAUTH_LAST and not self.is_rekey_due:
            cipher = self.send_cipher
            if cipher is not None:
                size = 2 + sum(map(len, args))
                padding = _padding_size(size)
                start = bytes((padding, pkttype))
                packet = self._seal_packet(
                    cipher, size + padding, start, *args, self._random_padding(padding)
                )
                self._send(b"".join(packet))
                return
        is_empty = pkttype == MSG_IGNORE and args == (EMPTY_STRING,)
        if is_empty and isinstance(self._send_encryption, GCMEncryption):
            return
        super().send_packet(pkttype, *args, handler=handler)

    def _seal_packet(
        self, cipher: CachedGcm, length: int, *plain: bytes | memoryview
    ) -> tuple[bytes, bytes]:
        """Encrypt one packet and count it as sent."""
        header = UINT32.pack(length)
        sealed = cipher.seal(header, b"".join(plain))
        self._send_seq = (self._send_seq + 1) & 0xFFFFFFFF
        self._rekey_bytes_sent += length
        return header, sealed

    def _random_padding(self, size: int) -> bytes:
        offset = self._padding_offset
        if offset + size > len(self._padding_pool):
            self._padding_pool, offset = os.urandom(4096), 0
        self._padding_offset = offset + size
        return self._padding_pool[offset : offset + size]

    # -- receiving ---------------------------------------------------------------------------

    accepts_buffer_list = True
    """Read by the jump host's channel that carries this connection."""

    def _process_read(self, data: bytes | memoryview) -> None:
        if not ENABLED:
            super()._process_read(data)
            return
        if self._inpbuf and self._is_between_packets:
            data, self._inpbuf = b"".join((self._inpbuf, data)), b""
        view = memoryview(data)
        if self._partial_packet.missing:
            view = self._partial_packet.append(view)
            if self._partial_packet.missing:
                return
            if view:
                self._unprocessed.appendleft(view)
            view = memoryview(self._partial_packet.join())
        self._process_view(view)

    def _process_view(self, view: memoryview) -> None:
        """Process the complete packets of a read. Keep an incomplete packet at its end."""
        while view and self._transport is not None:  # else the last packet ended the connection
            if self._is_between_packets:
                view = view[self._process_packets(view) :]
                if not view:
                    return
                missing = self._missing_bytes(view)
                if missing:
                    # If asyncssh started this packet, it would also have to finish it.
                    self._partial_packet.start(view, missing)
                    return
            if self._is_answering or (self._is_turn_over and self._is_between_packets):
                self._unprocessed.appendleft(view)
                return
            self._batch.flush()
            packet = self._first_packet(view)
            super()._process_read(packet)
            view = view[len(packet) :]

    def _finish_turn(self) -> None:
        self._batch.flush()

    def _missing_bytes(self, view: memoryview) -> int:
        """Return the bytes missing from the first packet; 0 if only asyncssh can tell."""
        size = self._packet_size(view)
        if size is None or size > LENGTH_BYTES + self._max_recv_pktlen + TAG_BYTES:
            return 0
        return max(0, size - len(view))

    def _first_packet(self, view: memoryview) -> memoryview:
        """Return the first packet of a view, or the whole view if its size is unknown."""
        size = self._packet_size(view) if self._is_between_packets else None
        return view if size is None else view[:size]

    def _packet_size(self, view: memoryview) -> int | None:
        """Return the size of the first packet; None if only asyncssh can tell."""
        if len(view) < LENGTH_BYTES or install_cached_gcm(self._recv_encryption) is None:
            return None
        (length,) = UINT32.unpack_from(view)
        return LENGTH_BYTES + int(length) + TAG_BYTES

    def _process_packets(self, view: memoryview) -> int:
        """Process complete packets. Return the offset of the first one left to asyncssh."""
        cipher = install_cached_gcm(self._recv_encryption)
        if cipher is None or self._decompressor or not self._auth_final:
            return 0
        offset, end, max_length = 0, len(view), self._max_recv_pktlen
        while end - offset > LENGTH_BYTES:
            (length,) = UINT32.unpack_from(view, offset)
            body = offset + LENGTH_BYTES
            next_offset = body + length + TAG_BYTES
            if next_offset > end or length > max_length:
                break
            try:
                plain = cipher.peek(view[offset:body], view[body:next_offset])
            except InvalidTag:
                break
            if not self._handle_packet(cipher, plain):
                break
            offset = next_offset
            if offset < end and self._is_turn_over:
                break
        return offset

    def _handle_packet(self, cipher: CachedGcm, plain: bytes) -> bool:
        """Process one packet. Return False to leave it to asyncssh."""
        if len(plain) < DATA_HEADER_BYTES:
            return False
        padding, kind, number, size = DATA_HEADER.unpack_from(plain)
        if kind != MSG_CHANNEL_DATA:
            is_handled = kind in CHANNEL_MESSAGES or kind in CONNECTION_MESSAGES
            return is_handled and self._handle_message(cipher, plain, kind)
        end = DATA_HEADER_BYTES + size
        if not padding or end + padding != len(plain):
            return False
        batch = self._batch
        if number != batch.channel_number:
            channel = self._channels.get(number)
            if not isinstance(channel, FastPathChannel):
                return False
            batch.start(number, channel)
        if not 0 < size <= batch.remaining_window:
            return False
        self._consume_packet(cipher)
        source = plain if size < MIN_VIEW_BYTES else memoryview(plain)
        batch.add(source[DATA_HEADER_BYTES:end], size)
        return True

    def _handle_message(self, cipher: CachedGcm, plain: bytes, kind: int) -> bool:
        self._batch.flush()
        end = len(plain) - plain[0]
        # Padding length and message number; a channel message continues with the channel number.
        min_size = 2 if kind in CONNECTION_MESSAGES else 6
        if not min_size <= end < len(plain):
            return False
        packet = SSHPacket(plain[2:end])
        handler: Any = (
            self if kind in CONNECTION_MESSAGES else self._channels.get(packet.get_uint32())
        )
        if handler is None:
            return False
        number = self._recv_seq
        self._consume_packet(cipher)
        try:
            handler.process_packet(kind, number, packet)
        except PacketDecodeError as error:
            raise asyncssh.ProtocolError(str(error)) from None
        return True

    def _consume_packet(self, cipher: CachedGcm) -> None:
        cipher.advance()
        self._recv_seq = (self._recv_seq + 1) & 0xFFFFFFFF


def _padding_size(size: int) -> int:
    """Return the padding for a packet. size: bytes of the message and of the padding length."""
    padding = -size % BLOCK_BYTES
    return padding if padding >= MIN_PADDING else padding + BLOCK_BYTES


@cache
def _warn_untested_version() -> None:
    """Log once per process that the fast path is disabled."""
    log.warning(
        "the fast path for data was not tested with asyncssh %s (tested: %s); "
        "it is disabled and transfers are slower",
        asyncssh.__version__,
        ", ".join(sorted(TESTED_VERSIONS)),
    )
