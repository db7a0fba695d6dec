"""What people send through tunnels: one exchange on one connection, with a deadline."""

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
    """So many bytes that look random and are the same every time."""
    return hashlib.shake_128(b"tunnelkeeper").digest(size)


def sha256(data: bytes) -> str:
    """The hash that `services.hash_sink` answers."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def connected(address: Address, timeout: float = 20) -> Iterator[socket.socket]:
    """A socket that is connected to the address; each of its operations may take so long."""
    family = socket.AF_INET
    where: object = address
    if isinstance(address, int):
        where = ("127.0.0.1", address)
    elif isinstance(address, Path):
        family, where = socket.AF_UNIX, str(address)
    elif ":" in address[0]:
        family = socket.AF_INET6
    with socket.socket(family) as connection:
        connection.settimeout(timeout)
        connection.connect(where)  # type: ignore[arg-type]  # typeshed wants Any-shaped addresses
        yield connection


def exchange(address: Address, data: bytes = b"", timeout: float = 20) -> bytes:
    """Send the data and end that half; what came back until the other side ended too."""
    with connected(address, timeout) as connection:
        sending = Thread(target=_send_and_end, args=(connection, data))
        sending.start()
        try:
            return receive_all(connection)
        finally:
            sending.join()


def receive_all(connection: socket.socket) -> bytes:
    """Everything until the other side ends."""
    received = bytearray()
    while data := connection.recv(MEGABYTE):
        received += data
    return bytes(received)


def receive_until_cut(connection: socket.socket) -> bytes:
    """Everything until the other side ends or resets: for a client that is not to be served."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(MEGABYTE):
            received += data
    return bytes(received)


def connect_and_receive(address: Address, timeout: float = 20) -> bytes:
    """Connect, and return everything until the other side ends or resets.

    A client that is refused at once may be reset before its connect() returns.
    """
    with contextlib.suppress(ConnectionResetError), connected(address, timeout) as connection:
        return receive_until_cut(connection)
    return b""


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer when the other side ends before."""
    received = bytearray()
    while len(received) < size and (data := connection.recv(size - len(received))):
        received += data
    return bytes(received)


def is_listening(address: Address) -> bool:
    """Whether anybody accepts connections there."""
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
        return  # the reading side sees it too, and says so
