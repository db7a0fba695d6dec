"""Requests that only ask whether the peer still answers.

Such a request is the keepalive of OpenSSH, a global request. The replies to global requests carry
no number and come in the order of the requests (RFC 4254 section 4), so one keepalive that a peer
ignores shifts every later reply by one request. The first keepalive of a connection therefore
decides: while it is unanswered, no other request is sent, and a peer that ignores it gets no
second one. Such a peer is probed by opening a channel of an unknown type, whose refusal names the
channel. This overrides private parts of asyncssh and rests on asyncssh 2.24.1.
"""

from __future__ import annotations

import asyncio
import time
from enum import Enum
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.constants import MSG_CHANNEL_OPEN, MSG_REQUEST_FAILURE, MSG_REQUEST_SUCCESS
from asyncssh.packet import String, UInt32

from tunnelkeeper.ssh.fastpath.connection import FastPathConnection

if TYPE_CHECKING:
    from asyncssh.connection import SSHConnection
    from asyncssh.packet import SSHPacket

KEEPALIVE_PATIENCE = 2.0
"""Seconds to wait for the answer to the first keepalive before the peer is probed with a channel.
Most peers answer within a round trip and get no other probe."""

KEEPALIVE_GRACE = 3.0
"""Seconds for the answer to that keepalive after the answer to the probe. A server may process
global requests and channels in different threads, so their order alone decides nothing."""

PROBE_CHANNEL = b"probe@tunnelkeeper.invalid"
"""A channel type that no peer knows (RFC 4251 section 6), so that it opens nothing. It must answer
with a failure (RFC 4254 section 5.1)."""

_PROBE_WINDOW, _PROBE_PACKET = 32 * 1024, 32 * 1024


MAX_UNANSWERED = 16
"""Requests without an answer, after which no further one is sent. A peer that sends data but
answers nothing is not dead, and could make them pile up."""


class KeepaliveSupport(Enum):
    """What is known about the answers of a peer to keepalives."""

    UNKNOWN = "none was sent, or the first is unanswered"
    ANSWERED = "it answers them"
    IGNORED = "it answers other requests, but not them"


class ProbeChannel(SSHChannel[bytes]):
    """A channel that the peer is expected to refuse.

    Attributes:
        answered: Done when the peer has answered or the connection has ended.
    """

    _conn: Any
    _recv_chan: int

    def __init__(self, connection: SSHConnection, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(connection, loop, None, "strict", _PROBE_WINDOW, _PROBE_PACKET)
        self.answered: asyncio.Future[None] = loop.create_future()
        size = UInt32(_PROBE_WINDOW), UInt32(_PROBE_PACKET)
        number = UInt32(self._recv_chan)
        self._conn.send_packet(MSG_CHANNEL_OPEN, String(PROBE_CHANNEL), number, *size, handler=self)

    def process_open_failure(self, code: int, reason: str, lang: str) -> None:
        """Record the answer."""
        del code, reason, lang
        self._cleanup()

    def process_open_confirmation(
        self, send_chan: int, send_window: int, send_pktsize: int, packet: SSHPacket
    ) -> None:
        """Record the answer, and close a channel that the peer did open."""
        del packet
        self._send_chan, self._send_window = send_chan, send_window
        self._send_pktsize = send_pktsize
        self._send_state = self._recv_state = "open"
        self._set_answered()
        self.abort()

    def _cleanup(self, exc: Exception | None = None) -> None:
        super()._cleanup(exc)
        self._set_answered()

    def _set_answered(self) -> None:
        if not self.answered.done():
            self.answered.set_result(None)


class LivenessConnection(FastPathConnection):
    """A connection that can ask its peer for an answer.

    Attributes:
        keepalive_support: Whether the peer answers keepalives.
        round_trip: The shortest round trip of such a request in seconds, or None.
        probe_count: The channels that are such requests.
    """

    _global_request_waiters: list[asyncio.Future[Any]]
    _request_count = 0  # global requests so far

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keepalive_support = KeepaliveSupport.UNKNOWN
        self.round_trip: float | None = None
        self.probe_count = 0
        self._keepalives: list[asyncio.Future[Any]] = []
        self._first_keepalive_decided = asyncio.Event()
        self._first_keepalive_decided.set()

    async def send_keepalive(self, *, is_repeated: bool = False) -> bool:
        """Send a request that the peer must answer, wait for the answer, and return True.

        It is a keepalive as OpenSSH sends it if the peer is known to answer those. A peer that does
        not know that request replies with a failure, which counts as well.

        Args:
            is_repeated: Whether the previous one is unanswered. The peer may have stopped
                answering global requests alone.

        Raises:
            TimeoutError: MAX_UNANSWERED of them are unanswered; no other was sent.
        """
        waiting = self._global_request_waiters
        self._keepalives = [keepalive for keepalive in self._keepalives if keepalive in waiting]
        if len(self._keepalives) + self.probe_count >= MAX_UNANSWERED:
            raise TimeoutError(f"{MAX_UNANSWERED} keepalives are unanswered")
        sent_at = time.monotonic()
        if self.keepalive_support is KeepaliveSupport.ANSWERED and not is_repeated:
            await self._request_keepalive()
        else:
            await self._open_probe()
        elapsed = time.monotonic() - sent_at
        self.round_trip = elapsed if self.round_trip is None else min(elapsed, self.round_trip)
        return True

    async def send_first_keepalive(self) -> None:
        """Send the first keepalive, and find out whether the peer answers it.

        Other global requests wait until that is known (wait_for_first_keepalive).
        """
        self._first_keepalive_decided.clear()
        try:
            self.keepalive_support = await self._find_keepalive_support()
        finally:
            self._first_keepalive_decided.set()

    async def wait_for_first_keepalive(self) -> None:
        """Wait until the reply to a global request cannot be taken for that of the keepalive."""
        if not self._first_keepalive_decided.is_set():
            await self._first_keepalive_decided.wait()

    async def _find_keepalive_support(self) -> KeepaliveSupport:
        keepalive = self._request_keepalive()
        await asyncio.wait({keepalive}, timeout=KEEPALIVE_PATIENCE)
        if not keepalive.done():
            probe = self._open_probe()
            await asyncio.wait({keepalive, probe}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({keepalive}, timeout=KEEPALIVE_GRACE)
        if keepalive.done():
            return KeepaliveSupport.ANSWERED
        self._global_request_waiters.remove(keepalive)
        return KeepaliveSupport.IGNORED

    def _open_probe(self) -> asyncio.Future[None]:
        """Open a channel that the peer refuses; return a future that its answer completes."""
        probe = ProbeChannel(self, self._loop)
        self.probe_count += 1
        return probe.answered

    def _request_keepalive(self) -> asyncio.Future[Any]:
        """Send a keepalive and return its reply."""
        if self._transport is None:
            raise asyncssh.ConnectionLost("Connection lost")
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._request_count += 1
        self._global_request_waiters.append(reply)
        self._keepalives.append(reply)
        self._send_global_request(b"keepalive@openssh.com", want_reply=True)
        return reply

    def _process_reply(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """Process the reply to a global request. Drop that of a keepalive that was given up."""
        is_given_up = self.keepalive_support is KeepaliveSupport.IGNORED
        if self._global_request_waiters or not is_given_up:
            self._process_global_response(pkttype, pktid, packet)


REPLY_HANDLERS = {
    MSG_REQUEST_SUCCESS: LivenessConnection._process_reply,  # noqa: SLF001
    MSG_REQUEST_FAILURE: LivenessConnection._process_reply,  # noqa: SLF001
}
"""Entries for the `_packet_handlers` of a connection."""
