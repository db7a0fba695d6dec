"""Channel classes of a connection: callbacks when a channel opens, and bounded memory.

They override private methods of asyncssh.channel.SSHChannel and rest on asyncssh 2.24.1. With
another version, ssh.transport and ssh.fastpath fall back to asyncssh's own classes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.channel import (
    SSHChannel,
    SSHClientChannel,
    SSHForwardChannel,
    SSHTCPChannel,
    SSHUNIXChannel,
)
from asyncssh.constants import MSG_CHANNEL_OPEN, MSG_CHANNEL_WINDOW_ADJUST, OPEN_CONNECT_FAILED
from asyncssh.packet import String, UInt32

from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.net.stream_transport import BufferList
from tunnelkeeper.ssh import memory_budget
from tunnelkeeper.ssh.fastpath.connection import MIN_VIEW_BYTES, FastPathChannel
from tunnelkeeper.ssh.fastpath.receive_window import (
    MAX_PACKET,
    OPEN_WINDOW,
    credit_threshold,
    growth,
)
from tunnelkeeper.ssh.peer_text import REQUEST_HANDLERS

if TYPE_CHECKING:
    from asyncssh.packet import SSHPacket

    from tunnelkeeper.core.budget import Account

log = logging.getLogger(__name__)

OnOpen = Callable[[], Any]
"""Returns the session of a channel that is open."""

OnError = Callable[[Exception], None]
"""Called once if the channel does not open, with a ChannelOpenError or the connection's error."""

CHANNEL_SETTINGS = None, "strict", OPEN_WINDOW, MAX_PACKET
"""The arguments for a new channel: bytes, not text, in both directions. A channel whose memory is
counted gets the window that its budget permits."""

MIN_ELAPSED = 1e-6
"""Seconds: avoids a division by zero when the clock does not advance between two readings."""


class OpeningChannel(SSHForwardChannel[bytes]):
    """A channel that reports by callbacks whether it is open."""

    _conn: Any
    _recv_chan: int
    _callbacks: tuple[OnOpen, OnError] | None = None

    def send_open(self, on_open: OnOpen, on_error: OnError, kind: bytes, *details: bytes) -> None:
        """Send CHANNEL_OPEN. Either on_open or on_error is called, once."""
        self._callbacks = on_open, on_error
        size = UInt32(self._recv_window), UInt32(self._recv_pktsize)
        number = UInt32(self._recv_chan)
        self._conn.send_packet(
            MSG_CHANNEL_OPEN, String(kind), number, *size, *details, handler=self
        )

    def process_open_confirmation(
        self, send_chan: int, send_window: int, send_pktsize: int, packet: SSHPacket
    ) -> None:
        """Create the session of a channel that the peer has opened, and start it."""
        if self._callbacks is None:
            super().process_open_confirmation(send_chan, send_window, send_pktsize, packet)
            return
        packet.check_end()
        on_open, _ = self._callbacks
        self._callbacks = None
        self._send_chan, self._send_window, self._send_pktsize = (
            send_chan,
            send_window,
            send_pktsize,
        )
        self._send_state = self._recv_state = "open"
        self._session = on_open()
        self._session.connection_made(self)
        self._session.session_started()
        if self._recv_paused == "starting":  # else the session has decided itself
            self._recv_paused = False

    async def _finish_open_request(self, result: Any) -> None:
        """Serve a channel that the peer opens, as asyncssh does.

        A session that has paused reading stays paused. asyncssh would resume it.
        """
        await super(SSHForwardChannel, self)._finish_open_request(result)
        if self._session is not None:
            self._session.session_started()
            if self._recv_paused == "starting":
                self.resume_reading()

    def process_open_failure(self, code: int, reason: str, lang: str) -> None:
        """Report that the peer does not open the channel."""
        if self._callbacks is None:
            super().process_open_failure(code, reason, lang)
            return
        _, on_error = self._callbacks
        self._callbacks = None
        self._cleanup()
        self._call_on_error(on_error, asyncssh.ChannelOpenError(code, reason, lang))

    def _cleanup(self, exc: Exception | None = None) -> None:
        super()._cleanup(exc)
        if self._callbacks is not None:
            _, on_error = self._callbacks
            self._callbacks = None
            closed = asyncssh.ChannelOpenError(OPEN_CONNECT_FAILED, "SSH connection closed")
            # In a later iteration: by then the connection reports that it is closed.
            self._loop.call_soon(self._call_on_error, on_error, closed)

    @staticmethod
    def _call_on_error(on_error: OnError, error: Exception) -> None:
        try:
            on_error(error)
        except Exception:  # an exception here would close the whole connection
            end_if_out_of_memory()
            log.exception("a client whose channel was refused could not be turned away")


class FlowControlledChannel:
    """A channel that holds bounded memory, which is counted for its connection.

    Its peer gets window credit only for data that the reader has taken. The receive window grows
    with the link and the reader (ssh.fastpath.receive_window). Requests on the channel may have
    texts in any encoding. payer: the account that its window counts for; None for that of the
    connection. reserved: bytes that were taken from it.
    """

    _packet_handlers: Any = {**SSHChannel._packet_handlers, **REQUEST_HANDLERS}  # noqa: RUF012, SLF001
    _conn: Any
    _session: Any
    _init_recv_window: int
    _recv_window: int
    _recv_paused: bool | str
    _recv_buf: list[tuple[Any, Any]]
    _send_buf: list[tuple[bytearray, Any]]
    _send_buf_len: int
    _send_state: str
    payer: Account[Any] | None = None
    reserved = 0
    _output = 0  # bytes of _send_buf that are counted
    _delivered = 0  # bytes delivered that the peer has no credit for yet
    _credited_at = 0.0  # monotonic seconds
    _rate = 0.0  # bytes per second at the last growth

    # -- sending -----------------------------------------------------------------------------

    def write(self, data: bytes, datatype: Any = None) -> None:
        """Send data, and buffer what exceeds the peer's window."""
        if self._send_buf and self._send_state == "open" and _is_small(data):
            tail, kind = self._send_buf[-1]
            if kind == datatype and len(tail) < MAX_PACKET:
                tail += data
                self._send_buf_len += len(data)
                self._flush_send_buf()
                return
        super().write(data, datatype)  # type: ignore[misc]
        if self._conn is not None and self._conn.is_stalled:
            self._conn.writers.move_to_back(self._session)

    def _flush_send_buf(self) -> None:
        super()._flush_send_buf()  # type: ignore[misc]
        if self._send_buf_len != self._output:
            self._count_output()

    def _close_send(self) -> None:
        super()._close_send()  # type: ignore[misc]
        self._count_output()

    def _count_output(self) -> None:
        size, self._output = self._send_buf_len - self._output, self._send_buf_len
        if self._conn is None:
            return
        if size > 0:
            memory_budget.record(self._conn.account, size)
        else:
            memory_budget.release(self._conn.account, -size)

    # -- receiving ---------------------------------------------------------------------------

    def _accept_data(self, data: Any, datatype: Any = None) -> None:
        # A peer may send single bytes. Each would take a hundred bytes in the queue.
        if self._recv_paused and _is_small(data):
            if isinstance(data, BufferList):
                data = b"".join(data.views)
            if self._recv_buf and self._send_state not in {"close_pending", "closed"}:
                tail, kind = self._recv_buf[-1]
                if isinstance(tail, bytearray) and kind == datatype and len(tail) < MAX_PACKET:
                    tail += data
                    self._recv_window -= len(data)
                    return
            data = bytearray(data)
        super()._accept_data(data, datatype)  # type: ignore[misc]

    def _deliver_data(self, data: Any, datatype: Any) -> None:
        self._delivered += len(data)
        if isinstance(data, bytearray):
            data = bytes(data)
        if self._session is not None:
            self._session.data_received(data, datatype)
        self._send_credit()

    def resume_reading(self) -> None:
        """Deliver queued data, and give the credit that was held back meanwhile."""
        super().resume_reading()  # type: ignore[misc]
        self._send_credit()

    def _send_credit(self) -> None:
        if (
            self._recv_paused
            or self._conn is None
            or self._delivered < credit_threshold(self._init_recv_window)
            or self._send_state not in {"open", "eof_pending", "eof"}
        ):
            return
        credit, self._delivered = self._delivered, 0
        extra = self._grow_window(credit)
        self._recv_window += credit + extra
        self.send_packet(MSG_CHANNEL_WINDOW_ADJUST, (credit + extra).to_bytes(4, "big"))  # type: ignore[attr-defined]

    def _grow_window(self, credit: int) -> int:
        now = time.monotonic()
        elapsed, self._credited_at = now - self._credited_at, now
        rate = credit / max(elapsed, MIN_ELAPSED)
        account, window = self.payer or self._conn.account, self._init_recv_window
        free = memory_budget.free_for_windows(account)
        extra = growth(window, free, rate, self._conn.round_trip, self._rate)
        if not extra or memory_budget.reserve(account, extra) is not None:
            return 0
        if window >= OPEN_WINDOW:
            self._rate = rate
        self.reserved += extra
        self._init_recv_window += extra
        return extra

    def _cleanup(self, exc: Exception | None = None) -> None:
        if self._conn is not None:
            memory_budget.release(self.payer or self._conn.account, self.reserved)
            memory_budget.release(self._conn.account, self._output)
            self.reserved = self._output = 0
        super()._cleanup(exc)  # type: ignore[misc]


def _is_small(data: bytes | BufferList) -> bool:
    return len(data) < MIN_VIEW_BYTES


class TcpChannel(
    FlowControlledChannel,
    OpeningChannel,
    FastPathChannel,
    SSHTCPChannel[bytes],
):
    """A direct-tcpip or forwarded-tcpip channel with bounded memory."""


class UnixChannel(
    FlowControlledChannel,
    OpeningChannel,
    FastPathChannel,
    SSHUNIXChannel[bytes],
):
    """A streamlocal channel with bounded memory."""


class CommandChannel(FlowControlledChannel, FastPathChannel, SSHClientChannel[bytes]):
    """A session channel with bounded memory."""
