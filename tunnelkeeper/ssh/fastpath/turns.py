"""A connection that processes received data in turns, so that no peer occupies the event loop.

asyncssh processes everything that a read returned before it returns itself, and takes more data
while a request of the peer is still being answered. This one stops after the time that the
scheduler gives it, keeps the rest, and reads no more until the rest is processed. It overrides
private parts of asyncssh and rests on asyncssh 2.24.1.
"""

from __future__ import annotations

from asyncio import sleep
from collections import deque
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.connection import SSHConnection
from asyncssh.constants import MSG_DEBUG, MSG_IGNORE, MSG_UNIMPLEMENTED

from tunnelkeeper.core.fair_queue import Flow
from tunnelkeeper.core.login_budget import PaddingLimit
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.net.stream_transport import BufferList
from tunnelkeeper.ssh.fastpath.receive_scheduler import scheduler_of

if TYPE_CHECKING:
    import asyncio

    from asyncssh.packet import SSHPacket

PADDING_MESSAGES = frozenset({MSG_IGNORE, MSG_DEBUG, MSG_UNIMPLEMENTED})

LAST_DATA_SECONDS = 0.005
"""Seconds for data that arrived before the connection was lost."""


class TurnConnection(SSHConnection):
    """A connection whose received data is processed in turns.

    Attributes:
        flow: The party that is charged for the processing.
        scheduler: It gives this connection its turns.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.flow = Flow()
        self.scheduler = scheduler_of(self._loop)
        self._unprocessed: deque[bytes | memoryview] = deque()
        self._turn_end: float | None = None  # None: it is not this connection's turn
        self._is_interrupted = False  # by the end of a turn, with data in asyncssh's buffer
        self._is_reading_paused = False
        self._is_eof_received = False  # before the data in front of it was processed
        self._tasks_started = 0
        self._padding_limit = PaddingLimit(self.scheduler.clock())

    # -- receive_scheduler.Receiver ----------------------------------------------------------

    @property
    def is_logging_in(self) -> bool:
        """Whether the peer is a client that has not logged in."""
        return False

    @property
    def has_received(self) -> bool:
        """Whether it has data that it can process now."""
        is_left = self._is_interrupted or bool(self._unprocessed)
        return is_left and self._transport is not None and not self._is_answering

    def process_received(self, turn_end: float) -> int:
        """Process received data until a time of the monotonic clock, but one packet at least."""
        self._tasks_started = 0
        self._process_until(turn_end)
        if self._unprocessed or self._is_interrupted or self._is_reading_paused:
            self._pause_or_resume_reading()
        if self._is_eof_received and not self.has_received:
            super().eof_received()
        return self._tasks_started

    # -- asyncssh ----------------------------------------------------------------------------

    def data_received(self, data: bytes | BufferList, datatype: Any = None) -> None:
        """Process bytes from the peer, now or when the turn of this connection comes."""
        del datatype
        self._unprocessed.append(b"".join(data.views) if isinstance(data, BufferList) else data)
        self.scheduler.receive(self)
        if self._unprocessed:
            self._pause_or_resume_reading()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Close when the data in front of the EOF is processed. True: keep the transport open."""
        if self.has_received:
            self._is_eof_received = True
            return True
        super().eof_received()
        return None

    def connection_lost(self, exc: Exception | None = None) -> None:
        """Process the data that arrived before, in a bounded time, and close.

        The channel of a jump host ends without an error, or with that of its own connection.
        """
        if self.has_received:
            self._process_until(self.scheduler.clock() + LAST_DATA_SECONDS)
        super().connection_lost(exc)

    def create_task(self, coro: Any, task_logger: Any = None) -> asyncio.Task[None]:
        """Start a task, and count it for the turn."""
        self._tasks_started += 1
        if self._turn_end is not None:
            self._turn_end -= self.scheduler.task_seconds
        return super().create_task(coro, task_logger)

    def _recv_data(self) -> None:
        """Process packets as asyncssh does, until the turn ends."""
        if self._turn_end is None:  # an answer is complete, and more packets are there
            self._is_interrupted = bool(self._inpbuf)
            self.scheduler.receive(self)
            return
        while self._inpbuf and self._recv_handler():
            if self._is_turn_over and self._is_between_packets:
                self._is_interrupted = bool(self._inpbuf)
                return

    def _finish_recv_packet(
        self, pkttype: int, seq: int, _task: Any = None, is_async: bool = False
    ) -> None:
        super()._finish_recv_packet(pkttype, seq, _task, is_async)
        if is_async:
            self.scheduler.receive(self)
            self._pause_or_resume_reading()

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> Any:
        """Process a packet. After too many that ask for nothing, the next one waits."""
        result = super().process_packet(pkttype, pktid, packet)
        if pkttype in PADDING_MESSAGES:
            delay = self._padding_limit.delay(pktid, self.scheduler.clock())
            if delay:
                return sleep(delay)
        return result

    # -- inside ------------------------------------------------------------------------------

    def _process_read(self, data: bytes | memoryview) -> None:
        """Process what one read returned, and keep in `_unprocessed` what is left."""
        self._inpbuf += data
        self._recv_data()

    @property
    def _is_between_packets(self) -> bool:
        return self._transport is not None and self._recv_handler == self._recv_pkthdr

    @property
    def _is_answering(self) -> bool:
        """Whether the next packet waits until a coroutine has processed the last one."""
        return getattr(self._recv_handler, "__self__", None) is not self

    @property
    def _is_turn_over(self) -> bool:
        return self._turn_end is not None and self.scheduler.clock() >= self._turn_end

    def _process_until(self, turn_end: float) -> None:
        self._turn_end = turn_end
        try:
            if self._is_interrupted:
                self._is_interrupted = False
                self._recv_data()
            while self._unprocessed:  # asked first, because most turns process a single read
                if self._is_interrupted or self._is_answering:
                    break
                if self._transport is None:
                    self._unprocessed.clear()
                    break
                self._process_read(self._unprocessed.popleft())
                if self._unprocessed and self._is_turn_over:
                    break
            self._finish_turn()
        except asyncssh.DisconnectError as error:
            self._send_disconnect(error.code, error.reason, error.lang)
            self._force_close(error)
        except Exception:  # noqa: BLE001  as asyncssh does with what its callbacks raise
            end_if_out_of_memory()
            self.internal_error()
        finally:
            self._turn_end = None

    def _finish_turn(self) -> None:
        """Deliver what was kept back during the turn."""

    def _pause_or_resume_reading(self) -> None:
        transport: Any = self._transport
        is_full = bool(self._unprocessed or self._is_interrupted)
        if transport is None or is_full == self._is_reading_paused:
            return
        self._is_reading_paused = is_full
        if is_full:
            transport.pause_reading()
        else:
            transport.resume_reading()
