"""A connection whose peer can make this process occupy a bounded amount of memory.

asyncssh buffers without limit what a peer does not read, and what a compressed packet inflates to.
Here both have limits, and the receive windows of channels and unread output are counted in the
budget of the process (ssh.memory_budget). What a peer sends is bounded by ssh.fastpath.turns. This
overrides private parts of asyncssh and rests on asyncssh 2.24.1.
"""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING, Any, TypeVar

import asyncssh
from asyncssh.constants import DISC_BY_APPLICATION, OPEN_CONNECT_FAILED

from tunnelkeeper.core.budget import Budget
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.ssh import memory_budget
from tunnelkeeper.ssh.channels import FlowControlledChannel
from tunnelkeeper.ssh.fastpath.receive_window import first_window
from tunnelkeeper.ssh.liveness import LivenessConnection

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Hashable

    from asyncssh.packet import SSHPacket

    from tunnelkeeper.core.budget import Account

Channel = TypeVar("Channel", bound=FlowControlledChannel)

OUTPUT_LIMIT = 64 * 1024 * 1024
"""Bytes that may wait to be read by a peer; one that reads never falls this far behind."""

OUTPUT_LIMIT_BEFORE_LOGIN = 1024 * 1024
"""The same before the login, which is a dialogue of small messages."""

UNCOUNTED_OUTPUT = 256 * 1024
"""Bytes that may wait without being counted: more than a connection in good order has waiting."""

MAX_PENDING_REQUESTS = 200
"""Global requests of a peer that may wait for an answer; asyncssh answers them recursively."""

MAX_DEFERRED_PACKETS = 16384
"""Packets that may wait for the end of a key exchange: three for each of 4096 channels."""

log = logging.getLogger(__name__)


class BoundedDecompressor:
    """Inflates packets, each up to a size in bytes (RFC 4253 section 6.2)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inflate = zlib.decompressobj()

    def decompress(self, data: bytes) -> bytes:
        """Inflate one packet.

        Raises asyncssh.CompressionError for a packet that is malformed or too large.
        """
        try:
            inflated = self._inflate.decompress(data, self._limit + 1)
        except zlib.error:
            raise asyncssh.CompressionError("a packet cannot be decompressed") from None
        if len(inflated) > self._limit or self._inflate.unconsumed_tail:
            message = f"a packet of {len(data)} bytes inflates to more than {self._limit} bytes"
            raise asyncssh.CompressionError(message)
        return inflated


class BoundedConnection(LivenessConnection):
    """A connection that counts and limits the memory that its peer occupies.

    Attributes:
        account: What the connection holds of the budget of its process.
        label: Who the peer is, for the log.
        key_name: What the key of its account stands for: the key of a client, or a server.
    """

    key_name = "key"

    _waiter: asyncio.Future[None] | None
    _wait: str | None
    _deferred_packets: list[Any]
    _global_request_queue: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.account: Account[Any] = Budget[Any]().open(self)
        self.label = "a peer"
        self._output = 0  # unread bytes that are counted
        self._has_logged_shortage = False

    def use_budget(
        self, budget: Budget[Any], label: str, address: Hashable = None, key: Hashable = None
    ) -> None:
        """Count from now on in the budget of the process.

        address: what counts as one source. key: the server; None for a client, until its login.
        """
        self.account.close()
        self.account, self.label = budget.open(self, address), label
        if key is not None:
            self.account.assign_key(key)
            self.key_name = "server"

    def end_over_budget(self, error: memory_budget.OverBudgetError) -> None:
        """End the connection and free its memory."""
        self.account.close()
        transport = self._transport
        if transport is not None:
            self._send_disconnect(DISC_BY_APPLICATION, str(error), "en")
            self._force_close(error)
            transport.abort()

    def internal_error(self, exc_info: Any = None, error_logger: Any = None) -> None:
        """Close the connection after an unexpected exception, as asyncssh does."""
        end_if_out_of_memory(exc_info[1] if exc_info else None)
        super().internal_error(exc_info, error_logger)

    def _cleanup(self, exc: Exception | None) -> None:
        # asyncssh would set the result of the login again, and fail before it has cleaned up: a
        # probe for the host key has set it, and ends the connection before the login does.
        if self._waiter is not None and self._waiter.done():
            self._wait = None
        super()._cleanup(exc)
        self.account.close()

    # -- channels ----------------------------------------------------------------------------

    def create_counted_channel(
        self,
        create: Callable[[int, int], Channel],
        packet_size: int,
        payer: Account[Any] | None = None,
    ) -> Channel:
        """Return a new channel, and count its memory until it is closed.

        Args:
            create: Returns the channel for a window and a packet size.
            packet_size: The maximum bytes of data in one packet.
            payer: Whose account its window counts for; None for the own.

        Raises:
            MemoryShortageError: No memory is left for it.
            ChannelOpenError: The connection is closed.
        """
        payer = payer or self.account
        if payer.is_closed:
            raise asyncssh.ChannelOpenError(OPEN_CONNECT_FAILED, "SSH connection closed")
        window = first_window(memory_budget.free_for_windows(payer))
        size = window + memory_budget.CHANNEL_BYTES
        exceeded = memory_budget.reserve(payer, size)
        if exceeded is not None:
            text = memory_budget.shortage_text(payer, exceeded)
            payer.owner.log_shortage(text)
            raise memory_budget.MemoryShortageError(text)
        try:
            self._update_recv_pktlen(packet_size)
            channel = create(window, packet_size)
        except BaseException:
            memory_budget.release(payer, size)
            raise
        channel.payer, channel.reserved = payer, size
        return channel

    def log_shortage(self, text: str) -> None:
        """Log, once for this connection, that it gets no memory for more channels."""
        if not self._has_logged_shortage:
            self._has_logged_shortage = True
            log.warning("%s: new channels are refused: %s", self.label, text)

    # -- output that the peer does not read --------------------------------------------------

    def process_received(self, turn_end: float) -> int:
        """Process data from the peer, unless it does not read what it is sent."""
        if self._has_unread_output():
            self._force_close(asyncssh.ConnectionLost("it does not read what it is sent"))
            return 0
        return super().process_received(turn_end)

    def _has_unread_output(self) -> bool:
        if self._transport is None:
            return False
        size = self._transport.get_write_buffer_size()
        if size > UNCOUNTED_OUTPUT or self._output:
            counted, self._output = self._output, size
            if size > counted:
                memory_budget.record(self.account, size - counted)
            else:
                memory_budget.release(self.account, counted - size)
        limit = OUTPUT_LIMIT if self._auth_complete else OUTPUT_LIMIT_BEFORE_LOGIN
        return size > limit or len(self._deferred_packets) > MAX_DEFERRED_PACKETS

    def _process_bounded_request(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """Handle a global request, unless too many wait for their answers."""
        if len(self._global_request_queue) >= MAX_PENDING_REQUESTS:
            raise asyncssh.ProtocolError("Too many requests at once")
        self._process_global_request(pkttype, pktid, packet)

    # -- input -------------------------------------------------------------------------------

    @property
    def _next_decompressor(self) -> Any:
        """The decompressor from the next NEWKEYS on. That of asyncssh has no limit."""
        return self._bounded_decompressor

    @_next_decompressor.setter
    def _next_decompressor(self, decompressor: object) -> None:
        is_used = decompressor is not None
        self._bounded_decompressor = BoundedDecompressor(self._max_recv_pktlen) if is_used else None
