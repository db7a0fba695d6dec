"""asyncssh's client connection with what a tunnel that lives for months needs besides.

It notes when the peer was last heard, hands congestion of the link on to whoever writes into it,
bounds what a channel keeps for a slow reader, and knows at which step of the login it is. This is
the one module that reaches into asyncssh's classes; it decides nothing about tunnels. What a
server's connection needs as well is in Link, so that the relay shares it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.channel import SSHClientChannel, SSHTCPChannel, SSHUNIXChannel
from asyncssh.connection import SSHClientConnection
from asyncssh.constants import MSG_CHANNEL_WINDOW_ADJUST

from tunnelkeeper.ssh.library import SILENCE
from tunnelkeeper.ssh.opening import OpeningChannel
from tunnelkeeper.ssh.overheard import Overhearing
from tunnelkeeper.ssh.short_way import ShortChannel, ShortConnection
from tunnelkeeper.ssh.turns import Writers
from tunnelkeeper.ssh.window import Windows

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tunnelkeeper.core.snapshot import Step
    from tunnelkeeper.forwarding.pieces import Pieces

CREDITS_QUEUED_DATA = frozenset({"2.24.1"})
"""asyncssh versions that give a peer window credit for data which still waits in a channel's
queue, so that the queue behind a slow reader grows without bound."""

LEAST_TIME = 1e-6
"""Seconds that anything takes: a clock may tell twice the same."""

OVERDRAWN = asyncssh.__version__ in CREDITS_QUEUED_DATA


class _Bounded:
    """A channel whose peer gets credit only for what was really delivered.

    What it gets at a time grows with what the link and the reader take: see ssh.window.
    """

    _conn: Any
    _session: Any
    _init_recv_window: int
    _recv_window: int
    _delivered = 0  # bytes that the peer has no credit for yet
    _credited_at = 0.0  # monotonic seconds
    _grown = 0  # bytes that the window has now beyond its first size
    _rate = 0.0  # bytes per second at which it grew last

    def write(self, data: bytes, datatype: Any = None) -> None:
        """Send data, or keep what the window does not take."""
        super().write(data, datatype)  # type: ignore[misc]
        if self._conn is not None and self._conn.stalled:
            self._conn.writers.filled_by(self._session)

    def _deliver_data(self, data: bytes, datatype: Any) -> None:
        # asyncssh grants "initial minus current window" here, and what is queued is missing from
        # that window, too. Shown a window that lacks only what was delivered, it grants just that.
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
            self._grow(credit)

    def _grow(self, credit: int) -> None:
        now = time.monotonic()
        elapsed, self._credited_at = now - self._credited_at, now
        rate = credit / max(elapsed, LEAST_TIME)
        windows, round_trip = self._conn.windows, self._conn.round_trip
        extra = windows.growth(self._init_recv_window, rate, round_trip, self._rate)
        if extra:
            self._rate = rate
            self._grown += extra
            self._init_recv_window += extra
            self._recv_window += extra
            self.send_packet(MSG_CHANNEL_WINDOW_ADJUST, extra.to_bytes(4, "big"))  # type: ignore[attr-defined]

    def _cleanup(self, exc: Exception | None = None) -> None:
        if self._conn is not None:
            self._conn.windows.give_back(self._grown)
            self._grown = 0
        super()._cleanup(exc)  # type: ignore[misc]


class BoundedTcpChannel(_Bounded, OpeningChannel, ShortChannel, SSHTCPChannel[bytes]):
    """A direct-tcpip or forwarded-tcpip channel with a bounded receive queue."""


class BoundedUnixChannel(_Bounded, OpeningChannel, ShortChannel, SSHUNIXChannel[bytes]):
    """A streamlocal channel with a bounded receive queue."""


class BoundedProgramChannel(_Bounded, ShortChannel, SSHClientChannel[bytes]):
    """A session channel with a bounded receive queue."""


class Link(ShortConnection):
    """What a connection of either side needs. last_heard: monotonic seconds of its last byte.

    on_idle: called whenever the last channel is gone.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._logger = SILENCE  # type: ignore[assignment]
        self.last_heard = time.monotonic()
        self.round_trip: float | None = None  # the shortest seen, in seconds
        self.windows = Windows()
        self.on_idle: Callable[[], None] | None = None
        self.writers = Writers()
        self._stalls = 0

    @property
    def stalled(self) -> bool:
        """Whether the link below takes no more for now."""
        return self._stalls > 0

    def data_received(self, data: bytes | Pieces, datatype: Any = None) -> None:
        """Take bytes of the peer, and note that it lives."""
        self.last_heard = time.monotonic()
        super().data_received(data, datatype)

    def pause_writing(self) -> None:
        """The link is full. Behind a jump host both that channel and its link can say so."""
        self._stalls += 1
        if self._stalls == 1:
            for writer in self.writers:
                writer.stall()

    def resume_writing(self) -> None:
        """The link drains again."""
        self._stalls -= 1
        if self._stalls == 0:
            for writer in self.writers:
                writer.unstall()

    # A connection through this one is a writer too.
    stall = pause_writing
    unstall = resume_writing

    def create_tcp_channel(
        self, encoding: Any = None, errors: Any = "strict", window: Any = 0, max_pktsize: Any = 0
    ) -> SSHTCPChannel[bytes]:
        """A new TCP channel with a bounded receive queue."""
        if not OVERDRAWN:
            return super().create_tcp_channel(encoding, errors, window, max_pktsize)
        self._update_recv_pktlen(max_pktsize)
        return BoundedTcpChannel(self, self._loop, encoding, errors, window, max_pktsize)

    def create_unix_channel(
        self, encoding: Any = None, errors: Any = "strict", window: Any = 0, max_pktsize: Any = 0
    ) -> SSHUNIXChannel[bytes]:
        """A new Unix-socket channel with a bounded receive queue."""
        if not OVERDRAWN:
            return super().create_unix_channel(encoding, errors, window, max_pktsize)
        self._update_recv_pktlen(max_pktsize)
        return BoundedUnixChannel(self, self._loop, encoding, errors, window, max_pktsize)

    @property
    def channel_count(self) -> int:
        """How many channels are open, or on the way to it."""
        return len(self._channels)

    def remove_channel(self, recv_chan: int) -> None:
        """Forget a channel that is closed on both sides."""
        super().remove_channel(recv_chan)
        if not self._channels and self.on_idle is not None:
            self.on_idle()

    async def keepalive(self) -> bool:
        """Ask the peer for any answer at all, as OpenSSH does; whether it came.

        A peer that does not know the request answers with a failure, which is an answer.
        """
        sent_at = time.monotonic()
        await self._make_global_request(b"keepalive@openssh.com")
        took = time.monotonic() - sent_at
        self.round_trip = took if self.round_trip is None else min(took, self.round_trip)
        return True

    def open_in_own_task(self, coroutine: Any) -> asyncio.Task[None]:
        """Run a coroutine that belongs to this connection and ends with it."""
        return self.create_task(coroutine)


class Transport(Overhearing, Link, SSHClientConnection):
    """One SSH connection to a server. on_step: told of the steps of its login."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_step: Callable[[Step], None] | None = None

    def create_program_channel(self) -> SSHClientChannel[bytes]:
        """A new session channel; what its program writes is bytes."""
        kind = BoundedProgramChannel if OVERDRAWN else SSHClientChannel
        window, packet = self._options.window, self._options.max_pktsize
        self._update_recv_pktlen(packet)
        return kind(self, self._loop, "strict", None, "strict", window, packet)

    def forward_agent(self, path: str) -> None:
        """Let the server's programs ask the agent at this socket."""
        self._agent_forward_path = path

    @property
    def keys_exchanged(self) -> bool:
        """Whether the server has proved that it owns its host key."""
        return self.get_extra_info("send_cipher") is not None

    def validate_server_host_key(self, key_data: bytes) -> asyncssh.SSHKey:
        """Judge the server's key."""
        self._at("host_key")
        return super().validate_server_host_key(key_data)

    def send_service_request(self, service: bytes) -> None:
        """Begin the login: the keys are exchanged and the host key is good."""
        self._at("login")
        super().send_service_request(service)

    def _at(self, step: Step) -> None:
        if self.on_step is not None:
            self.on_step(step)
