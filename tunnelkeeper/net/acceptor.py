"""Accepting clients on a bound socket; each is connected to its protocol in the same turn."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS, local_resources_failure
from tunnelkeeper.net.fd_limits import reserve_fd
from tunnelkeeper.net.stream_transport import StreamTransport, reset_at_close

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE = 32
"""Clients accepted in one turn of the loop: everything else has its turn in between."""

PAUSE = 1.0
"""Seconds without accepting when there is no room: what is there goes on, nobody spins."""

log = logging.getLogger(__name__)


class Acceptor:
    """Accepts on one listening socket until it is closed."""

    def __init__(self, sock: socket.socket, factory: Callable[[], asyncio.Protocol]) -> None:
        self.socket = sock
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        if sock.family != socket.AF_UNIX:
            # Accepted sockets inherit it (tcp(7)): small packets are not held back.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(sock.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more; clients that were accepted stay."""
        if self.socket.fileno() == -1:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self.socket.fileno())
        self.socket.close()

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                reserve_fd(self.socket)
                client, peername = self.socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in EXHAUSTION_ERRNOS:
                    raise
                self._pause_accepting(error)
                return
            client.setblocking(False)
            try:
                StreamTransport(self._loop, client, self._factory(), peername)
            except Exception:
                reset_at_close(client)
                client.close()
                log.exception("an internal fault; please report it: a client could not be served")

    def _pause_accepting(self, error: OSError) -> None:
        log.warning("clients wait: %s", local_resources_failure(error.strerror or ""))
        self._loop.remove_reader(self.socket.fileno())
        self._pause = self._loop.call_later(PAUSE, self._resume_accepting)

    def _resume_accepting(self) -> None:
        self._pause = None
        self._loop.add_reader(self.socket.fileno(), self._accept)
