"""TCP proxies that simulate a long link and a narrow one on loopback.

The long link delays all data. In each direction one thread reads at once and another writes when
the data is due, so only the endpoints' windows limit the data in flight. The narrow link limits the
rate from its client and buffers little itself.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from functools import partial
from math import inf
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING

from benchmarks.services import serving

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

CHUNK = 1 << 18
NARROW_CHUNK = 1 << 14
NARROW_BUFFER = 1 << 16


def slow_link(port: int, round_trip: float) -> AbstractContextManager[int]:
    """Proxy a local port with a round-trip time in seconds; yield the proxy's port."""
    return serving(partial(_accept, port=port, delay=round_trip / 2))


def narrow_link(port: int, rate: float) -> AbstractContextManager[int]:
    """Proxy a local port with an upload rate in bytes per second; yield the proxy's port."""
    return serving(partial(_accept_narrowly, port=port, rate=rate))


def _accept_narrowly(listener: socket.socket, port: int, rate: float) -> None:
    # Data buffered here would delay every small packet, of any channel.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW_BUFFER)
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for side in (near, far):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Thread(target=_trickle, args=(near, far, rate), daemon=True).start()
        Thread(target=_trickle, args=(far, near, inf), daemon=True).start()


def _trickle(source: socket.socket, target: socket.socket, rate: float) -> None:
    due = time.monotonic()
    with suppress(OSError):
        while data := source.recv(NARROW_CHUNK):
            due = max(due, time.monotonic()) + len(data) / rate
            time.sleep(max(due - time.monotonic(), 0))
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _accept(listener: socket.socket, port: int, delay: float) -> None:
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for side in (near, far):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _carry(near, far, delay)
        _carry(far, near, delay)


def _carry(source: socket.socket, target: socket.socket, delay: float) -> None:
    on_the_way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
    is_over = Event()

    def read() -> None:
        data = b"-"
        while data and not is_over.is_set():
            try:
                data = source.recv(CHUNK)
            except OSError:
                data = b""
            on_the_way.put((time.monotonic() + delay, data))
        if is_over.is_set():
            source.close()  # otherwise it would be read and kept without a target

    def write() -> None:
        try:
            while True:
                due, data = on_the_way.get()
                time.sleep(max(due - time.monotonic(), 0))
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
        except OSError:
            is_over.set()

    for work in (read, write):
        Thread(target=work, daemon=True).start()
