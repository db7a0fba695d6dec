"""A TCP proxy that hands everything on later: a link of any round trip, and of any bandwidth.

Each direction is a thread that reads at once and one that writes when it is time, so what is on
the way is bounded only by what the ends are willing to have on the way.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from benchmarks.services import serving

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

CHUNK = 1 << 18


def slow_link(port: int, round_trip: float) -> AbstractContextManager[int]:
    """A port that leads to another port of this machine, so many seconds away and back."""
    return serving(partial(_accept, port=port, delay=round_trip / 2))


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

    def read() -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(CHUNK)
            except OSError:
                data = b""
            on_the_way.put((time.monotonic() + delay, data))

    def write() -> None:
        with suppress(OSError):
            while True:
                due, data = on_the_way.get()
                time.sleep(max(due - time.monotonic(), 0))
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)

    for work in (read, write):
        Thread(target=work, daemon=True).start()
