"""Channel classes of a connection: callbacks when a channel opens, and bounded receive queues.

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

from tunnelkeeper.ssh.fastpath.connection import FastPathChannel
from tunnelkeeper.ssh.peer_text import REQUEST_HANDLERS

if TYPE_CHECKING:
    from asyncssh.packet import SSHPacket

log = logging.getLogger(__name__)

OnOpen = Callable[[], Any]
"""Returns the session of a channel that is open."""

OnError = Callable[[Exception], None]
"""Called once if the channel does not open, with a ChannelOpenError or the connection's error."""

INITIAL_WINDOW = 2 * 1024 * 1024
"""Bytes that a peer may send before it needs credit. The default of ssh and asyncssh."""

MAX_PACKET = 32 * 1024
"""Bytes of data in one packet (RFC 4253 section 6.1)."""

CHANNEL_SETTINGS = None, "strict", INITIAL_WINDOW, MAX_PACKET
"""The arguments for a new channel: bytes, not text, in both directions."""

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
            log.exception("a client whose channel was refused could not be turned away")


class FlowControlledChannel:
    """A channel whose peer gets window credit only for data that was delivered.

    The receive window grows with the link and the reader (ssh.fastpath.receive_window). Requests on
    the channel may have texts in any encoding.
    """

    _packet_handlers: Any = {**SSHChannel._packet_handlers, **REQUEST_HANDLERS}  # noqa: RUF012, SLF001
    _conn: Any
    _session: Any
    _init_recv_window: int
    _recv_window: int
    _delivered = 0  # bytes delivered that the peer has no credit for yet
    _credited_at = 0.0  # monotonic seconds
    _window_growth = 0  # bytes beyond the initial window
    _rate = 0.0  # bytes per second at the last growth

    def write(self, data: bytes, datatype: Any = None) -> None:
        """Send data, and buffer what exceeds the peer's window."""
        super().write(data, datatype)  # type: ignore[misc]
        if self._conn is not None and self._conn.is_stalled:
            self._conn.writers.move_to_back(self._session)

    def _deliver_data(self, data: bytes, datatype: Any) -> None:
        # asyncssh grants "initial minus current window" here, which includes queued data. With a
        # window reduced only by the delivered data, it grants just that.
        self._delivered += len(data)
        window = self._recv_window
        self._recv_window = self._init_recv_window - self._delivered
        try:
            super()._deliver_data(data, datatype)  # type: ignore[misc]
        finally:
            credit = 0
            if self._recv_window == self._init_recv_window:
                credit, self._delivered = self._delivered, 0
            self._recv_window = window + credit
        if credit and self._conn is not None:
            self._grow_window(credit)

    def _grow_window(self, credit: int) -> None:
        now = time.monotonic()
        elapsed, self._credited_at = now - self._credited_at, now
        rate = credit / max(elapsed, MIN_ELAPSED)
        windows, round_trip = self._conn.windows, self._conn.round_trip
        extra = windows.grant(self._init_recv_window, rate, round_trip, self._rate)
        if extra:
            self._rate = rate
            self._window_growth += extra
            self._init_recv_window += extra
            self._recv_window += extra
            self.send_packet(MSG_CHANNEL_WINDOW_ADJUST, extra.to_bytes(4, "big"))  # type: ignore[attr-defined]

    def _cleanup(self, exc: Exception | None = None) -> None:
        if self._conn is not None:
            self._conn.windows.release(self._window_growth)
            self._window_growth = 0
        super()._cleanup(exc)  # type: ignore[misc]


class TcpChannel(
    FlowControlledChannel,
    OpeningChannel,
    FastPathChannel,
    SSHTCPChannel[bytes],
):
    """A direct-tcpip or forwarded-tcpip channel with a bounded receive queue."""


class UnixChannel(
    FlowControlledChannel,
    OpeningChannel,
    FastPathChannel,
    SSHUNIXChannel[bytes],
):
    """A streamlocal channel with a bounded receive queue."""


class CommandChannel(FlowControlledChannel, FastPathChannel, SSHClientChannel[bytes]):
    """A session channel with a bounded receive queue."""
