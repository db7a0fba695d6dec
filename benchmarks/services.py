"""The targets of tunnels: source, sink, echo and two that misbehave, each in its own process.

They use plain sockets and avoid copies, because they must not limit the throughput of a tunnel.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from threading import Thread

Serve = Callable[[socket.socket], None]
"""Serves the connections of a listener endlessly."""

BLOCK = 1 << 20
COUNT = struct.Struct(">Q")
"""The sink's answer: the number of bytes received."""


@dataclass(frozen=True, slots=True)
class Services:
    """The ports of the three services that most measures use."""

    source: int
    sink: int
    echo: int


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """Run a service in its own process; yield its port on 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        port: int = listener.getsockname()[1]
        process = multiprocessing.get_context("fork").Process(
            target=_serve_apart, args=(serve, listener), daemon=True
        )
        process.start()
    try:
        yield port
    finally:
        process.kill()
        process.join()


@contextmanager
def open_services() -> Iterator[Services]:
    """Run a source, a sink and an echo."""
    with ExitStack() as stack:
        yield Services(*[stack.enter_context(serving(serve)) for serve in (source, sink, echo)])


@contextmanager
def unaccepting() -> Iterator[int]:
    """Yield a port on which connections are never established, because its backlog is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port: int = listener.getsockname()[1]
        for _ in range(4):  # one fits; Linux drops the SYN packets of the others
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        yield port


def source(listener: socket.socket) -> None:
    """Send to every client until it disconnects."""
    _thread_each(listener, _send_endlessly)


def sink(listener: socket.socket) -> None:
    """Read until EOF; answer with the number of bytes as COUNT."""
    _thread_each(listener, _discard)


def deaf(listener: socket.socket) -> None:
    """Accept every client and never read from it."""
    clients = []
    while True:
        clients.append(listener.accept())


def echo(listener: socket.socket) -> None:
    """Send data back, without a thread for each of thousands of clients."""
    clients: dict[int, socket.socket] = {}
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
            elif not _echoed(clients[number]):
                clients.pop(number).close()  # closing removes it from the poll


def _echoed(client: socket.socket) -> bool:
    """Echo available data; return False at EOF."""
    try:
        data = client.recv(65536)
        client.sendall(data)  # messages are small, so this does not wait
    except OSError:
        return False
    return bool(data)


def _send_endlessly(client: socket.socket) -> None:
    block = os.memfd_create("source")
    try:
        os.ftruncate(block, BLOCK)
        while True:
            os.sendfile(client.fileno(), block, 0, BLOCK)  # without copying
    finally:
        os.close(block)


def _discard(client: socket.socket) -> None:
    room = bytearray(BLOCK)
    total = 0
    # With MSG_TRUNC, TCP discards the bytes and copies nothing (tcp(7)).
    while count := client.recv_into(room, BLOCK, socket.MSG_TRUNC):
        total += count
    client.sendall(COUNT.pack(total))


def _thread_each(listener: socket.socket, handle: Serve) -> None:
    while True:
        client, _ = listener.accept()
        Thread(target=_handle, args=(handle, client), daemon=True).start()


def _handle(handle: Serve, client: socket.socket) -> None:
    with client, suppress(OSError):
        handle(client)


def _serve_apart(serve: Serve, listener: socket.socket) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # the benchmarks handle Ctrl-C and end this process
    serve(listener)
