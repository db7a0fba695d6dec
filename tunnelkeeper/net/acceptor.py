"""The accept loop of a listening socket. A protocol serves each client from the same loop turn.

It binds nothing and knows nothing of what the protocols do.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS, local_resources_failure
from tunnelkeeper.net.descriptor_pool import ShareUsedUpError
from tunnelkeeper.net.fd_limits import reserve_fd
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.net.stream_transport import StreamTransport, reset_at_close

if TYPE_CHECKING:
    from collections.abc import Callable

ACCEPT_BATCH = 32
"""Clients accepted in one turn of the loop, so that a burst of clients does not block the rest."""

ACCEPT_SECONDS = 0.0005
"""Seconds after which no further client is accepted in the same turn."""

ACCEPT_RETRY_DELAY = 1.0
"""Seconds to wait when accept() fails for lack of descriptors or memory; as in asyncio."""

LOG_INTERVAL = 30.0
"""Seconds between two log messages about clients that wait. In a flood they begin to wait often."""

log = logging.getLogger(__name__)


class Acceptor:
    """Accepts clients on one listening socket until it is closed.

    check: called before each accept; it raises OSError with one of EXHAUSTION_ERRNOS to let clients
    wait. By default they leave the reserve of descriptors free.
    """

    def __init__(
        self,
        sock: socket.socket,
        factory: Callable[[], asyncio.Protocol],
        check: Callable[[], None] | None = None,
    ) -> None:
        self.socket = sock
        self._factory = factory
        self._check = check if check is not None else partial(reserve_fd, sock)
        self._logged_at = -inf
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        if sock.family != socket.AF_UNIX:
            # Accepted sockets inherit it (tcp(7)). Small packets are then sent without delay.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(sock.fileno(), self._accept)

    def close(self) -> None:
        """Stop accepting. Clients that are connected stay connected."""
        if self.socket.fileno() == -1:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self.socket.fileno())
        self.socket.close()

    def _accept(self) -> None:
        turn_end = self._loop.time() + ACCEPT_SECONDS
        for number in range(ACCEPT_BATCH):
            if number and self._loop.time() >= turn_end:
                return
            try:
                self._check()
                client, peername = self.socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in EXHAUSTION_ERRNOS:
                    raise
                self._pause_accepting(error)
                return
            client.setblocking(False)
            self._serve(client, peername)

    def _serve(self, client: socket.socket, peername: object) -> None:
        protocol: asyncio.Protocol | None = None
        try:
            protocol = self._factory()
            StreamTransport(self._loop, client, protocol, peername)
        except Exception:
            end_if_out_of_memory()
            reset_at_close(client)
            client.close()
            log.exception("an internal fault; please report it: a client could not be served")
            if protocol is not None:
                protocol.connection_lost(None)  # it may be counted, or hold a place

    def _pause_accepting(self, error: OSError) -> None:
        if self._loop.time() - self._logged_at >= LOG_INTERVAL:
            self._logged_at = self._loop.time()
            log.warning("clients wait: %s", _describe(error))
        self._loop.remove_reader(self.socket.fileno())
        delay = ACCEPT_RETRY_DELAY
        if isinstance(error, ShareUsedUpError):
            delay = min(delay, error.retry_after)
        self._pause = self._loop.call_later(delay, self._resume_accepting)

    def _resume_accepting(self) -> None:
        self._pause = None
        self._loop.add_reader(self.socket.fileno(), self._accept)


def _describe(error: OSError) -> str:
    reason = error.strerror or ""
    if isinstance(error, ShareUsedUpError):
        return f"{reason}; raise the limit of open files (LimitNOFILE=, ulimit -n) for more"
    return str(local_resources_failure(reason))
