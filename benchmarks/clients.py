"""Load generators on plain sockets: transfers, round trips and short connections."""

from __future__ import annotations

import select
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.processes import BenchmarkError
from benchmarks.services import BLOCK, COUNT

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

TIMEOUT = 30
"""Seconds without progress after which a tunnel counts as broken."""

TIMEVAL = struct.pack("@ll", int(TIMEOUT), 0)

SMALL = bytes(64)
REQUEST = bytes(1024)


@dataclass(frozen=True, slots=True)
class Transfer:
    """The bytes of a transfer, and its duration in seconds."""

    size: int
    seconds: float

    @property
    def rate(self) -> float:
        """The rate in MB/s (10^6 bytes)."""
        return self.size / self.seconds / 1e6


def connected(port: int) -> socket.socket:
    """Connect to a local port."""
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A timeout in the kernel; Python's own timeouts add a poll() to every call.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, TIMEVAL)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, TIMEVAL)
    return client


def connect_via_socks(proxy: int, port: int) -> socket.socket:
    """Connect to a port of the server through a SOCKS 5 proxy (RFC 1928).

    Raises BenchmarkError if the proxy refuses.
    """
    client = connected(proxy)
    client.sendall(b"\x05\x01\x00")
    greeting = client.recv(2, socket.MSG_WAITALL)
    client.sendall(b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + struct.pack(">H", port))
    answer = client.recv(10, socket.MSG_WAITALL)
    if greeting != b"\x05\x00" or answer[:2] != b"\x05\x00":
        client.close()
        raise BenchmarkError(f"the SOCKS proxy on port {proxy} answered {greeting!r}, {answer!r}")
    return client


def pull(client: socket.socket, seconds: float) -> Transfer:
    """Read from a source for a number of seconds, counted from the first byte."""
    room = bytearray(BLOCK)
    size = client.recv_into(room, 1)
    started_at = now = time.perf_counter()
    while size and now - started_at < seconds:
        count = client.recv_into(room, BLOCK, socket.MSG_TRUNC)
        if not count:
            raise BenchmarkError("the tunnel ended a transfer too early")
        size += count
        now = time.perf_counter()
    return Transfer(size, now - started_at)


def push(client: socket.socket, seconds: float) -> Transfer:
    """Write to a sink for a number of seconds, and wait until it confirms the byte count."""
    block = memoryview(bytes(BLOCK))
    started_at = time.perf_counter()
    sent = 0
    while time.perf_counter() - started_at < seconds:
        sent += client.send(block)
    client.shutdown(socket.SHUT_WR)
    answer = client.recv(COUNT.size, socket.MSG_WAITALL)
    elapsed = time.perf_counter() - started_at
    if answer != COUNT.pack(sent):
        raise BenchmarkError(f"{sent} bytes were sent, and the sink answered {answer!r}")
    return Transfer(sent, elapsed)


def ping(client: socket.socket) -> float:
    """Return the round-trip time of 64 bytes to an echo service in seconds."""
    started_at = time.perf_counter()
    client.sendall(SMALL)
    if len(client.recv(len(SMALL), socket.MSG_WAITALL)) != len(SMALL):
        raise BenchmarkError("the tunnel ended a connection too early")
    return time.perf_counter() - started_at


def visits(port: int, at_once: int) -> Generator[None, None, None]:
    """Connect to an echo service, exchange 1 KB and close, endlessly; yield after each connection.

    at_once: the number of concurrent connections.
    """
    poll = select.epoll()
    waiting: dict[int, tuple[socket.socket, int]] = {}  # with the number of missing bytes

    def enter() -> None:
        client = connected(port)
        client.sendall(REQUEST)
        waiting[client.fileno()] = client, len(REQUEST)
        poll.register(client, select.EPOLLIN)

    try:
        for _ in range(at_once):
            enter()
        while ready := poll.poll(TIMEOUT):
            for number, _ in ready:
                client, missing = waiting[number]
                data = client.recv(missing)
                waiting[number] = client, missing - len(data)
                if not data:
                    raise BenchmarkError("the tunnel ended a connection too early")
                if len(data) == missing:
                    waiting.pop(number)[0].close()
                    yield
                    enter()
        raise BenchmarkError(f"no connection through port {port} was served for {TIMEOUT} s")
    finally:
        poll.close()
        for client, _ in waiting.values():
            client.close()


def wait_until_all_carry(ports: Sequence[int], within: float) -> None:
    """Wait until every port echoes a byte; raise BenchmarkError after the timeout.

    One port is tried at a time, so that waiting costs almost no CPU time.
    """
    deadline = time.monotonic() + within
    for done, port in enumerate(ports):
        while not _echoes(port):
            if time.monotonic() > deadline:
                raise BenchmarkError(
                    f"{done} of {len(ports)} tunnels carry data after {within:.0f} s"
                )
            time.sleep(0.01)


def _echoes(port: int) -> bool:
    with suppress(OSError), connected(port) as client:
        client.sendall(b"?")
        return client.recv(1) == b"?"
    return False
