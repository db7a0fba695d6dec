"""Target services of tunnels: small servers on loopback or a Unix socket, threaded."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread

from tests.e2e.ports import free_port

Handler = Callable[[socket.socket], None]
"""Serves one connection; the caller closes the socket."""

CHUNK = 256 * 1024


class Service:
    """Serves a handler until closed; `address` is a (host, port) pair or the path of a socket."""

    def __init__(self, handler: Handler, at: Path | int | None = None) -> None:
        self._handler = handler
        self._listener = _listen(at)
        self.address: tuple[str, int] | str = self._listener.getsockname()
        self._connections: set[socket.socket] = set()
        self._lock = Lock()
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        """The TCP port."""
        assert isinstance(self.address, tuple)
        return self.address[1]

    @property
    def connections(self) -> int:
        """The number of connected clients."""
        with self._lock:
            return len(self._connections)

    def __str__(self) -> str:
        return self.address if isinstance(self.address, str) else f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop listening and shut down every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(); close() would not
        self._threads[0].join()
        self._listener.close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            with self._lock:
                self._connections.add(connection)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._handler(connection)
        with self._lock:
            self._connections.discard(connection)


def echo(connection: socket.socket) -> None:
    """Send back what arrives until the client sends EOF."""
    while data := connection.recv(CHUNK):
        connection.sendall(data)


def hash_sink(connection: socket.socket) -> None:
    """Answer EOF with the SHA-256 of the received data; this tests half-close."""
    digest = hashlib.sha256()
    while data := connection.recv(CHUNK):
        digest.update(data)
    connection.sendall(digest.hexdigest().encode())


def sender(data: bytes) -> Handler:
    """Return a handler that sends the data and ends."""

    def send(connection: socket.socket) -> None:
        connection.sendall(data)

    return send


def web_page(text: str) -> Handler:
    """Return a handler that answers every HTTP request with the text."""

    def answer(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            data = connection.recv(CHUNK)
            if not data:
                return
            request += data
        connection.sendall(f"HTTP/1.0 200 OK\r\n\r\n{text}".encode())

    return answer


def _listen(at: Path | int | None) -> socket.socket:
    if isinstance(at, Path):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(at))
    else:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", at or free_port()))
    listener.listen()
    return listener
