"""A service manager's end of sd_notify(3): a real socket that keeps what it is told."""

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
        self._heard: list[list[str]] = []

    def manager(self, watchdog: float = 0.0) -> ServiceManager:
        """What a service has of it."""
        return ServiceManager(self.address, watchdog)

    def heard(self) -> list[list[str]]:
        """The assignments of every message until now."""
        with suppress(BlockingIOError):
            while True:
                self._heard.append(self._sock.recv(4096).decode().split("\n"))
        return self._heard

    def count(self, assignment: str) -> int:
        """How often it was told so."""
        return sum(message.count(assignment) for message in self.heard())

    def status(self) -> str:
        """The line of status that it was told last."""
        lines = [each for message in self.heard() for each in message if each.startswith("STATUS=")]
        return lines[-1].removeprefix("STATUS=") if lines else ""


@contextmanager
def listening(address: str) -> Iterator[FakeServiceManager]:
    """A manager that listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind("\0" + address[1:] if address.startswith("@") else address)
        yield FakeServiceManager(address, sock)
