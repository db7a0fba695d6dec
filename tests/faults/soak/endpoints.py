"""The listening endpoints of tunnels, and pings that a service must echo unchanged."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from pathlib import Path

_VERSION, _NO_LOGIN, _CONNECT, _IPV4 = 5, 0, 1, 1  # RFC 1928
_REPLY = 10  # bytes, with an IPv4 address


class AlteredError(Exception):
    """Raised when the echoed data differs from the data sent."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address where clients of a tunnel connect.

    address: a port of 127.0.0.1 or a Unix socket. servers: all that the connection passes.
    socks_target: the port that a SOCKS client requests. hops: the number of servers.
    remote: a server listens, not the supervisor.
    """

    name: str
    tunnel: str
    address: int | Path
    servers: frozenset[str]
    socks_target: int = 0
    hops: int = 1
    remote: bool = False

    def open(self, timeout: float) -> socket.socket:
        """Connect to the service. timeout: seconds for each step. Raises OSError."""
        unix = isinstance(self.address, Path)
        client = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        try:
            client.settimeout(timeout)
            client.connect(str(self.address) if unix else ("127.0.0.1", self.address))
            if self.socks_target:
                _ask_proxy(client, self.socks_target)
        except BaseException:
            client.close()
            raise
        return client


def ping(client: socket.socket, data: bytes) -> None:
    """Send data and receive its echo.

    Raises OSError if no echo arrives, AlteredError if it differs.
    """
    client.sendall(data)
    answer = _receive_exactly(client, len(data))
    if answer != data:
        position = next(i for i, (a, b) in enumerate(zip(answer, data, strict=True)) if a != b)
        raise AlteredError(f"byte {position} of {len(data)} came back changed")


def _ask_proxy(client: socket.socket, port: int) -> None:
    client.sendall(bytes((_VERSION, 1, _NO_LOGIN)))
    _receive_exactly(client, 2)
    target = socket.inet_aton("127.0.0.1") + struct.pack(">H", port)
    client.sendall(bytes((_VERSION, _CONNECT, 0, _IPV4)) + target)
    code = _receive_exactly(client, _REPLY)[1]
    if code:
        raise ConnectionRefusedError(f"the SOCKS proxy answers with code {code}")


def _receive_exactly(client: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        data = client.recv(size - len(received))
        if not data:
            raise ConnectionResetError("the connection was closed")
        received += data
    return bytes(received)
