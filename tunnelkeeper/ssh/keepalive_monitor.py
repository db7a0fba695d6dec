"""Keepalives of one connection: does what core.keepalive decides, and decides nothing itself."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Self

import asyncssh
from msgspec import Struct

from tunnelkeeper.core.keepalive import (
    PROBE_NOW_TIMEOUT,
    Verdict,
    extend,
    on_timer,
    probe_now,
    start,
)
from tunnelkeeper.ssh.errors import PeerDeadError
from tunnelkeeper.ssh.liveness import KeepaliveSupport

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket
    from collections.abc import Callable

    from tunnelkeeper.core.configuration import Keepalive
    from tunnelkeeper.ssh.transport import BaseTransport

# struct tcp_info of linux/tcp.h: tcpi_unacked, tcpi_bytes_acked, tcpi_notsent_bytes
_UNACKNOWLEDGED, _ACKNOWLEDGED, _UNSENT = ("=I", 24), ("=Q", 120), ("=I", 144)
_TCP_INFO_SIZE = 148  # bytes; Linux has had these fields since 4.6


def ignore(_: str) -> None:
    """Log nothing."""


class KeepaliveMonitor:
    """Monitors a transport from its login on.

    Attributes:
        rtt_ms: The round trip of the last answered keepalive in milliseconds, or None.
    """

    def __init__(
        self,
        transport: BaseTransport,
        keepalive: Keepalive,
        jump_monitor: KeepaliveMonitor | None = None,
    ) -> None:
        self.rtt_ms: float | None = None
        self._transport = transport
        self._keepalive = keepalive
        self._jump_monitor = jump_monitor
        self._timer: asyncio.TimerHandle | None = None
        self._state = start(time.monotonic(), keepalive)
        self._send_queue: SendQueue | None = None  # at the last reading
        self._is_measured = False
        self._schedule()

    def measure_round_trip(self, log: Callable[[str], None] = ignore) -> None:
        """Send the first keepalives, for status and for the size of windows; only the first time.

        The peer must have answered the requests that matter before: a keepalive that it ignores
        would delay them.

        Args:
            log: Called if the peer ignores keepalives.
        """
        if not self._is_measured:
            self._is_measured = True
            self._transport.start_task(self._measure_round_trip(log))

    def probe_now(self) -> None:
        """Send a keepalive now, after a resume or network change: the peer may be gone."""
        now = time.monotonic()
        received_at = self._transport.last_received_at
        self._send_queue = self._read_send_queue()
        self._state, verdict = probe_now(self._state, now, received_at, self._keepalive)
        if verdict is Verdict.PROBE:
            self.stop()
            self._transport.start_task(self._probe(now, is_repeated=False))
            self._schedule()

    async def wait_for_answer(self) -> None:
        """Probe, and wait for the answer. Without one, the connection ends soon."""
        self.probe_now()
        with suppress(OSError, asyncssh.Error):
            await self._transport.send_keepalive()

    def stop(self) -> None:
        """Stop monitoring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self._timer = None
        if self._state.due_at < inf:
            delay = max(0.0, self._state.due_at - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._transport.is_closed():
            return
        now = time.monotonic()
        before, self._send_queue = self._send_queue, self._read_send_queue()
        self._state, verdict = on_timer(
            self._state, now, self._transport.last_received_at, self._keepalive
        )
        match verdict:
            case Verdict.PROBE:
                is_repeated = self._state.unanswered > 1
                self._transport.start_task(self._probe(now, is_repeated=is_repeated))
            case Verdict.DEAD if is_draining(before, self._send_queue):
                self._state = extend(self._state, now, self._keepalive)
            case Verdict.DEAD:
                self._transport.start_task(self._close_if_dead(self._describe_silence(now)))
            case Verdict.WAIT:
                pass
        self._schedule()

    def _read_send_queue(self) -> SendQueue | None:
        if self._jump_monitor is not None:  # other connections share the jump host's link
            return None
        return SendQueue.read(self._transport.get_extra_info("socket"))

    def _describe_silence(self, now: float) -> str:
        if now >= self._state.dead_at:
            reason = f"no answer within {PROBE_NOW_TIMEOUT:g} s of a wake or a change of network"
        else:
            reason = f"no answer to {self._state.unanswered} keepalives"
        return f"{reason}, silent for {now - self._transport.last_received_at:.0f} s"

    async def _close_if_dead(self, message: str) -> None:
        """End the connection, unless its jump host is the one that is dead.

        A peer behind a dead jump host is at least as silent, and must not be blamed. This
        connection ends with that of the jump host.
        """
        received_at = self._transport.last_received_at
        if self._jump_monitor is not None:
            await self._jump_monitor.wait_for_answer()
        if self._transport.last_received_at > received_at:
            self._state = start(self._transport.last_received_at, self._keepalive)
            self._schedule()
        elif not self._transport.is_closed():
            self._transport.connection_lost(PeerDeadError(message))

    async def _measure_round_trip(self, log: Callable[[str], None]) -> None:
        """Measure with the second keepalive: a server is busy after a login and answers late."""
        with suppress(OSError, asyncssh.Error):
            await self._transport.send_first_keepalive()
            if self._transport.keepalive_support is KeepaliveSupport.IGNORED:
                log("does not answer keepalives; opening a channel that it refuses replaces them")
            await self._probe(time.monotonic(), is_repeated=False)

    async def _probe(self, sent_at: float, *, is_repeated: bool) -> None:
        with suppress(OSError, asyncssh.Error):
            await self._transport.send_keepalive(is_repeated=is_repeated)
            self.rtt_ms = round((time.monotonic() - sent_at) * 1000, 3)


class SendQueue(Struct, frozen=True):
    """Unacknowledged data of a TCP connection. Only Linux reports it.

    On a slow link a keepalive waits behind megabytes in the kernel's buffer, and acknowledgements
    are the only sign of life from the peer.

    Attributes:
        is_pending: Whether some of the data is not yet acknowledged.
        acknowledged: Bytes acknowledged since the connection began.
    """

    is_pending: bool
    acknowledged: int

    @classmethod
    def read(cls, connection: TransportSocket | None) -> Self | None:
        """Return the send queue of a TCP connection, or None if it is not available."""
        option = getattr(socket, "TCP_INFO", None)
        if connection is None or option is None:
            return None
        try:
            info = connection.getsockopt(socket.IPPROTO_TCP, option, _TCP_INFO_SIZE)
        except OSError:  # a proxy command's socket, or one that is closing
            return None
        if len(info) < _TCP_INFO_SIZE:
            return None
        unacknowledged, acknowledged, unsent = (
            struct.unpack_from(layout, info, offset)[0]
            for layout, offset in (_UNACKNOWLEDGED, _ACKNOWLEDGED, _UNSENT)
        )
        return cls(bool(unacknowledged or unsent), acknowledged)


def is_draining(before: SendQueue | None, now: SendQueue | None) -> bool:
    """Return whether data was acknowledged between two readings, and some is still pending."""
    if before is None or now is None:
        return False
    return now.is_pending and now.acknowledged > before.acknowledged
