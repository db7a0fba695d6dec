"""A fake service manager: a real sd_notify(3) socket that records its messages."""

from __future__ import annotations

import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tunnelkeeper.systemd.notify import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakeServiceManager:
    """Listens on a path, or on an abstract name that begins with @."""

    def __init__(self, address: str, sock: socket.socket) -> None:
        self.address = address
        self._sock = sock
        self._messages: list[list[str]] = []

    def client(self, watchdog: float = 0.0) -> ServiceManager:
        """Return the service's side of the protocol."""
        return ServiceManager(self.address, watchdog)

    def messages(self) -> list[list[str]]:
        """Return the assignments of every message received so far."""
        with suppress(BlockingIOError):
            while True:
                self._messages.append(self._sock.recv(4096).decode().split("\n"))
        return self._messages

    def count(self, assignment: str) -> int:
        """Return how often an assignment was received."""
        return sum(message.count(assignment) for message in self.messages())

    def status(self) -> str:
        """Return the last STATUS= text."""
        lines = [
            line for message in self.messages() for line in message if line.startswith("STATUS=")
        ]
        return lines[-1].removeprefix("STATUS=") if lines else ""


@contextmanager
def listening(address: str) -> Iterator[FakeServiceManager]:
    """Run a fake manager that listens on an address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind("\0" + address[1:] if address.startswith("@") else address)
        yield FakeServiceManager(address, sock)
