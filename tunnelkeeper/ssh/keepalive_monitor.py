"""The keepalives of one connection: asks core.keepalive what is due, and does it."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Self

import asyncssh

from tunnelkeeper.core.keepalive import (
    PROBE_NOW_TIMEOUT,
    Verdict,
    extend,
    on_timer,
    probe_now,
    start,
)
from tunnelkeeper.ssh.errors import PeerDeadError

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

    from tunnelkeeper.core.configuration import Keepalive
    from tunnelkeeper.ssh.transport import BaseTransport

# struct tcp_info of linux/tcp.h: tcpi_unacked, tcpi_bytes_acked, tcpi_notsent_bytes
_UNACKNOWLEDGED, _ACKNOWLEDGED, _UNSENT = ("=I", 24), ("=Q", 120), ("=I", 144)
_TCP_INFO_SIZE = 148  # bytes; Linux has had these fields since 4.6


class KeepaliveMonitor:
    """Watches a transport from its login on. rtt_ms: of the last answered probe, or None.

    via: that of the connection which this one runs through.
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
        self._send_queue: SendQueue | None = None  # at the last look
        self._schedule()
        transport.start_task(self._measure_round_trip())

    def probe_now(self) -> None:
        """Probe out of turn: this machine woke or its network changed, and the peer may be gone."""
        now = time.monotonic()
        received_at = self._transport.last_received_at
        self._send_queue = self._read_send_queue()
        self._state, verdict = probe_now(self._state, now, received_at, self._keepalive)
        if verdict is Verdict.PROBE:
            self.stop()
            self._transport.start_task(self._probe(now))
            self._schedule()

    async def wait_for_answer(self) -> None:
        """Ask, and return with the answer; where none comes, the connection ends before long."""
        self.probe_now()
        with suppress(OSError, asyncssh.Error):
            await self._transport.send_keepalive()

    def stop(self) -> None:
        """Watch no more."""
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
                self._transport.start_task(self._probe(now))
            case Verdict.DEAD if is_draining(before, self._send_queue):
                self._state = extend(self._state, now, self._keepalive)
            case Verdict.DEAD:
                self._transport.start_task(self._close_if_dead(self._describe_silence(now)))
            case Verdict.WAIT:
                pass
        self._schedule()

    def _read_send_queue(self) -> SendQueue | None:
        if (
            self._jump_monitor is not None
        ):  # the link is the jump host's, and others may keep it busy
            return None
        return SendQueue.read(self._transport.get_extra_info("socket"))

    def _describe_silence(self, now: float) -> str:
        if now >= self._state.dead_at:
            reason = f"no answer within {PROBE_NOW_TIMEOUT:g} s of a wake or a change of network"
        else:
            reason = f"no answer to {self._state.unanswered} keepalives"
        return f"{reason}, silent for {now - self._transport.last_received_at:.0f} s"

    async def _close_if_dead(self, message: str) -> None:
        """End the connection, unless it is the way here that is dead: that ends by itself then.

        A peer behind a dead jump host is at least as silent as that is, and must not be blamed.
        """
        received_at = self._transport.last_received_at
        if self._jump_monitor is not None:
            await self._jump_monitor.wait_for_answer()
        if self._transport.last_received_at > received_at:
            self._state = start(self._transport.last_received_at, self._keepalive)
            self._schedule()
        elif not self._transport.is_closed():
            self._transport.connection_lost(PeerDeadError(message))

    async def _measure_round_trip(self) -> None:
        """Have a round trip soon, for status and for the size of windows.

        The second one: a server answers the first late, as it has work to do after a login.
        """
        with suppress(OSError, asyncssh.Error):
            await self._transport.send_keepalive()
            await self._probe(time.monotonic())

    async def _probe(self, sent_at: float) -> None:
        with suppress(OSError, asyncssh.Error):
            await self._transport.send_keepalive()
            self.rtt_ms = round((time.monotonic() - sent_at) * 1000, 3)


@dataclass(frozen=True, slots=True)
class SendQueue:
    """is_waiting: not all that was sent is acknowledged. acknowledged: bytes that ever were."""

    is_pending: bool
    acknowledged: int

    @classmethod
    def read(cls, connection: TransportSocket | None) -> Self | None:
        """That of a TCP connection; None where it cannot be told."""
        option = getattr(socket, "TCP_INFO", None)
        if connection is None or option is None:
            return None
        try:
            info = connection.getsockopt(socket.IPPROTO_TCP, option, _TCP_INFO_SIZE)
        except OSError:  # a proxy command's, or one that is just being closed
            return None
        if len(info) < _TCP_INFO_SIZE:
            return None
        unacknowledged, acknowledged, unsent = (
            struct.unpack_from(layout, info, offset)[0]
            for layout, offset in (_UNACKNOWLEDGED, _ACKNOWLEDGED, _UNSENT)
        )
        return cls(bool(unacknowledged or unsent), acknowledged)


def is_draining(before: SendQueue | None, now: SendQueue | None) -> bool:
    """Whether some of it was taken meanwhile, and some is still to be."""
    if before is None or now is None:
        return False
    return now.is_pending and now.acknowledged > before.acknowledged
