"""What tunnels lead to: a source, a sink, an echo and two that misbehave, each a process apart.

They are plain sockets, and spare every copy they can: they must not be what limits a tunnel.
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
"""Serves the connections of a listener for ever."""

BLOCK = 1 << 20
COUNT = struct.Struct(">Q")
"""How the sink says how many bytes have come."""


@dataclass(frozen=True, slots=True)
class Services:
    """The ports of the three that every measure uses."""

    source: int
    sink: int
    echo: int


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """Run a service as a process of its own; its port on 127.0.0.1."""
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
    """A source, a sink and an echo."""
    with ExitStack() as stack:
        yield Services(*[stack.enter_context(serving(serve)) for serve in (source, sink, echo)])


@contextmanager
def unaccepting() -> Iterator[int]:
    """A port whose connections are never established: its queue is full, and stays so."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port: int = listener.getsockname()[1]
        for _ in range(4):  # one fits in; Linux drops the first packet of the others
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        yield port


def source(listener: socket.socket) -> None:
    """Send to every client until it goes away."""
    _thread_each(listener, _pour)


def sink(listener: socket.socket) -> None:
    """Take all that a client sends; answer how much it was, as COUNT."""
    _thread_each(listener, _swallow)


def deaf(listener: socket.socket) -> None:
    """Accept every client, and never read a byte of it."""
    clients = []
    while True:
        clients.append(listener.accept())


def echo(listener: socket.socket) -> None:
    """Send back what comes; no thread a client, as thousands may come at once."""
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
                clients.pop(number).close()  # which poll notices


def _echoed(client: socket.socket) -> bool:
    """Echo what is there; whether the client will say more."""
    try:
        data = client.recv(65536)
        client.sendall(data)  # messages are small, so this does not wait
    except OSError:
        return False
    return bool(data)


def _pour(client: socket.socket) -> None:
    block = os.memfd_create("source")
    try:
        os.ftruncate(block, BLOCK)
        while True:
            os.sendfile(client.fileno(), block, 0, BLOCK)  # the kernel's pages, nothing is copied
    finally:
        os.close(block)


def _swallow(client: socket.socket) -> None:
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the benchmarks, which end us
    serve(listener)
