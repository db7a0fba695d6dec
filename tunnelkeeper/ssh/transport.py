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

from tunnelkeeper.ssh.asyncssh_logging import SILENCE
from tunnelkeeper.ssh.channels import CommandChannel, TcpChannel, UnixChannel
from tunnelkeeper.ssh.debug_messages import DebugMessageMixin
from tunnelkeeper.ssh.fastpath.connection import FastPathConnection
from tunnelkeeper.ssh.fastpath.receive_window import WindowBudget
from tunnelkeeper.ssh.fastpath.write_scheduler import WriteScheduler

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tunnelkeeper.core.snapshot import Step
    from tunnelkeeper.forwarding.pump import ChannelEndpoint
    from tunnelkeeper.net.stream_transport import BufferList
    from tunnelkeeper.ssh.fastpath.write_scheduler import LinkWriter


AFFECTED_VERSIONS = frozenset({"2.24.1"})
"""asyncssh versions that give a peer window credit for data which still waits in a channel's
queue, so that the queue behind a slow reader grows without bound."""

NEEDS_FLOW_CONTROL = asyncssh.__version__ in AFFECTED_VERSIONS


class BaseTransport(FastPathConnection):
    """What a connection of either side needs. last_heard: monotonic seconds of its last byte.

    on_idle: called whenever the last channel is gone.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._logger = SILENCE  # type: ignore[assignment]
        self.last_received_at = time.monotonic()
        self.round_trip: float | None = None  # the shortest seen, in seconds
        self.windows = WindowBudget()
        self.on_idle: Callable[[], None] | None = None
        self.writers = WriteScheduler()
        self._pause_count = 0

    @property
    def is_stalled(self) -> bool:
        """Whether the link below takes no more for now."""
        return self._pause_count > 0

    def data_received(self, data: bytes | BufferList, datatype: Any = None) -> None:
        """Take bytes of the peer, and note that it lives."""
        self.last_received_at = time.monotonic()
        super().data_received(data, datatype)

    def pause_writing(self) -> None:
        """The link is full. Behind a jump host both that channel and its link can say so."""
        self._pause_count += 1
        if self._pause_count == 1:
            for writer in self.writers:
                writer.pause_link()

    def resume_writing(self) -> None:
        """The link drains again."""
        self._pause_count -= 1
        if self._pause_count == 0:
            for writer in self.writers:
                writer.resume_link()

    # A connection through this one is a writer too.
    pause_link = pause_writing
    resume_link = resume_writing

    def add_writer(self, writer: LinkWriter) -> None:
        """Pause and resume a writer with this link, from now on."""
        self.writers.add(writer)
        if self.is_stalled:
            writer.pause_link()

    def register(
        self, endpoint: ChannelEndpoint, on_gone: Callable[[], None] | None = None
    ) -> None:
        """Add a channel's endpoint to the writers until its channel is gone; then call on_gone."""

        def gone() -> None:
            self.writers.discard(endpoint)
            if on_gone is not None:
                on_gone()

        endpoint.on_closed = gone
        self.add_writer(endpoint)

    def create_tcp_channel(
        self, encoding: Any = None, errors: Any = "strict", window: Any = 0, max_pktsize: Any = 0
    ) -> SSHTCPChannel[bytes]:
        """A new TCP channel with a bounded receive queue."""
        if not NEEDS_FLOW_CONTROL:
            return super().create_tcp_channel(encoding, errors, window, max_pktsize)
        self._update_recv_pktlen(max_pktsize)
        return TcpChannel(self, self._loop, encoding, errors, window, max_pktsize)

    def create_unix_channel(
        self, encoding: Any = None, errors: Any = "strict", window: Any = 0, max_pktsize: Any = 0
    ) -> SSHUNIXChannel[bytes]:
        """A new Unix-socket channel with a bounded receive queue."""
        if not NEEDS_FLOW_CONTROL:
            return super().create_unix_channel(encoding, errors, window, max_pktsize)
        self._update_recv_pktlen(max_pktsize)
        return UnixChannel(self, self._loop, encoding, errors, window, max_pktsize)

    @property
    def channel_count(self) -> int:
        """How many channels are open, or on the way to it."""
        return len(self._channels)

    def remove_channel(self, recv_chan: int) -> None:
        """Forget a channel that is closed on both sides."""
        super().remove_channel(recv_chan)
        if not self._channels and self.on_idle is not None:
            self.on_idle()

    async def send_keepalive(self) -> bool:
        """Ask the peer for any answer at all, as OpenSSH does; whether it came.

        A peer that does not know the request answers with a failure, which is an answer.
        """
        sent_at = time.monotonic()
        await self._make_global_request(b"keepalive@openssh.com")
        elapsed = time.monotonic() - sent_at
        self.round_trip = elapsed if self.round_trip is None else min(elapsed, self.round_trip)
        return True

    def start_task(self, coroutine: Any) -> asyncio.Task[None]:
        """Run a coroutine that belongs to this connection and ends with it."""
        return self.create_task(coroutine)


class ClientTransport(DebugMessageMixin, BaseTransport, SSHClientConnection):
    """One SSH connection to a server. on_step: told of the steps of its login."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_step: Callable[[Step], None] | None = None

    def create_command_channel(self) -> SSHClientChannel[bytes]:
        """A new session channel; what its program writes is bytes."""
        kind = CommandChannel if NEEDS_FLOW_CONTROL else SSHClientChannel
        window, packet = self._options.window, self._options.max_pktsize
        self._update_recv_pktlen(packet)
        return kind(self, self._loop, "strict", None, "strict", window, packet)

    def forward_agent(self, path: str) -> None:
        """Let the server's programs ask the agent at this socket."""
        self._agent_forward_path = path

    @property
    def has_exchanged_keys(self) -> bool:
        """Whether the server has proved that it owns its host key."""
        return self.get_extra_info("send_cipher") is not None

    def validate_server_host_key(self, key_data: bytes) -> asyncssh.SSHKey:
        """Judge the server's key."""
        self._report_step("host_key")
        return super().validate_server_host_key(key_data)

    def send_service_request(self, service: bytes) -> None:
        """Begin the login: the keys are exchanged and the host key is good."""
        self._report_step("login")
        super().send_service_request(service)

    def _report_step(self, step: Step) -> None:
        if self.on_step is not None:
            self.on_step(step)
