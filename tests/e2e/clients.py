"""Clients of tunnels: one exchange on one connection, with a deadline."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Address = int | Path | tuple[str, int]
"""A port of 127.0.0.1, a Unix socket, or a host and a port."""

MEGABYTE = 1 << 20


@cache
def blob(size: int) -> bytes:
    """Return pseudorandom bytes, the same at each call."""
    return hashlib.shake_128(b"tunnelkeeper").digest(size)


def sha256(data: bytes) -> str:
    """Return the hash with which `services.hash_sink` answers."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def connected(address: Address, timeout: float = 20) -> Iterator[socket.socket]:
    """Connect a socket to the address. timeout: seconds for each of its operations."""
    family = socket.AF_INET
    target: object = address
    if isinstance(address, int):
        target = ("127.0.0.1", address)
    elif isinstance(address, Path):
        family, target = socket.AF_UNIX, str(address)
    elif ":" in address[0]:
        family = socket.AF_INET6
    with socket.socket(family) as connection:
        connection.settimeout(timeout)
        connection.connect(target)  # type: ignore[arg-type]  # typeshed wants Any-shaped addresses
        yield connection


def exchange(address: Address, data: bytes = b"", timeout: float = 20) -> bytes:
    """Send the data and EOF; return everything received until EOF."""
    with connected(address, timeout) as connection:
        sending = Thread(target=_send_and_end, args=(connection, data))
        sending.start()
        try:
            return receive_all(connection)
        finally:
            sending.join()


def receive_all(connection: socket.socket) -> bytes:
    """Receive everything until EOF."""
    received = bytearray()
    while data := connection.recv(MEGABYTE):
        received += data
    return bytes(received)


def receive_until_cut(connection: socket.socket) -> bytes:
    """Receive everything until EOF or a reset, for clients that are refused."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(MEGABYTE):
            received += data
    return bytes(received)


def connect_and_receive(address: Address, timeout: float = 20) -> bytes:
    """Connect and return everything received until EOF or a reset.

    A client that is refused may be reset even before connect() returns.
    """
    with contextlib.suppress(ConnectionResetError), connected(address, timeout) as connection:
        return receive_until_cut(connection)
    return b""


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """Receive this many bytes, or fewer if EOF comes first."""
    received = bytearray()
    while len(received) < size and (data := connection.recv(size - len(received))):
        received += data
    return bytes(received)


def is_listening(address: Address) -> bool:
    """Return whether the address accepts connections."""
    try:
        with connected(address, timeout=5):
            return True
    except (ConnectionRefusedError, FileNotFoundError):
        return False


def _send_and_end(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the reading side gets the same error and raises it
