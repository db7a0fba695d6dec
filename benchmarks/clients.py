"""Load through plain sockets: transfers, round trips, short connections; each says what it saw."""

from __future__ import annotations

import select
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.processes import Unable
from benchmarks.services import BLOCK, COUNT

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

PATIENCE = 30
"""Seconds without any progress after which a tunnel counts as broken."""

TIMEVAL = struct.pack("@ll", int(PATIENCE), 0)

SMALL = bytes(64)
REQUEST = bytes(1024)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes that arrived, and the seconds that they took."""

    size: int
    seconds: float

    @property
    def rate(self) -> float:
        """MB/s, of a million bytes."""
        return self.size / self.seconds / 1e6


def connected(port: int) -> socket.socket:
    """A connection to a port of this machine."""
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # The kernel keeps this time; with Python's own timeouts every call would be two.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, TIMEVAL)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, TIMEVAL)
    return client


def connected_by_socks(proxy: int, port: int) -> socket.socket:
    """A connection to a port of the far side through a SOCKS 5 proxy (RFC 1928).

    Raises Unable when the proxy declines.
    """
    client = connected(proxy)
    client.sendall(b"\x05\x01\x00")
    greeting = client.recv(2, socket.MSG_WAITALL)
    client.sendall(b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + struct.pack(">H", port))
    answer = client.recv(10, socket.MSG_WAITALL)
    if greeting != b"\x05\x00" or answer[:2] != b"\x05\x00":
        client.close()
        raise Unable(f"the SOCKS proxy on port {proxy} answered {greeting!r}, {answer!r}")
    return client


def pull(client: socket.socket, seconds: float) -> Transfer:
    """Read from a source for so long, counted from its first byte."""
    room = bytearray(BLOCK)
    size = client.recv_into(room, 1)
    begun = now = time.perf_counter()
    while size and now - begun < seconds:
        count = client.recv_into(room, BLOCK, socket.MSG_TRUNC)
        if not count:
            raise Unable("the tunnel ended a transfer too early")
        size += count
        now = time.perf_counter()
    return Transfer(size, now - begun)


def push(client: socket.socket, seconds: float) -> Transfer:
    """Write to a sink for so long; the time until it has said that all is there counts, too."""
    block = memoryview(bytes(BLOCK))
    begun = time.perf_counter()
    sent = 0
    while time.perf_counter() - begun < seconds:
        sent += client.send(block)
    client.shutdown(socket.SHUT_WR)
    answer = client.recv(COUNT.size, socket.MSG_WAITALL)
    elapsed = time.perf_counter() - begun
    if answer != COUNT.pack(sent):
        raise Unable(f"{sent} bytes were sent, and the sink answered {answer!r}")
    return Transfer(sent, elapsed)


def ping(client: socket.socket) -> float:
    """The seconds that 64 bytes take to an echo and back."""
    begun = time.perf_counter()
    client.sendall(SMALL)
    if len(client.recv(len(SMALL), socket.MSG_WAITALL)) != len(SMALL):
        raise Unable("the tunnel ended a connection too early")
    return time.perf_counter() - begun


def visits(port: int, at_once: int) -> Generator[None, None, None]:
    """Connect to an echo, have 1 KB sent back, and close, for ever; an item for each that is done.

    at_once: how many connections are open at a time.
    """
    poll = select.epoll()
    waiting: dict[int, tuple[socket.socket, int]] = {}  # each with the bytes that are to come

    def enter() -> None:
        client = connected(port)
        client.sendall(REQUEST)
        waiting[client.fileno()] = client, len(REQUEST)
        poll.register(client, select.EPOLLIN)

    try:
        for _ in range(at_once):
            enter()
        while ready := poll.poll(PATIENCE):
            for number, _ in ready:
                client, missing = waiting[number]
                data = client.recv(missing)
                waiting[number] = client, missing - len(data)
                if not data:
                    raise Unable("the tunnel ended a connection too early")
                if len(data) == missing:
                    waiting.pop(number)[0].close()
                    yield
                    enter()
        raise Unable(f"no connection through port {port} was served for {PATIENCE} s")
    finally:
        poll.close()
        for client, _ in waiting.values():
            client.close()


def wait_until_all_carry(ports: Sequence[int], within: float) -> None:
    """Return when each of the ports has led to an echo and back. Raises Unable when it is late.

    One port is tried at a time, so that the wait costs nearly nothing.
    """
    deadline = time.monotonic() + within
    for done, port in enumerate(ports):
        while not _carries(port):
            if time.monotonic() > deadline:
                raise Unable(f"{done} of {len(ports)} tunnels carry data after {within:.0f} s")
            time.sleep(0.01)


def _carries(port: int) -> bool:
    with suppress(OSError), connected(port) as client:
        client.sendall(b"?")
        return client.recv(1) == b"?"
    return False
