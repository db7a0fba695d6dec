"""Ways into tunnels, and what is sent through them: pings that a service must answer unchanged."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from pathlib import Path

_VERSION, _NO_LOGIN, _CONNECT, _IPV4 = 5, 0, 1, 1  # RFC 1928
_REPLY = 10  # bytes, with an IPv4 address


class Altered(Exception):
    """What came back is not what was sent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A place where clients of a tunnel connect, and all that has to work for them.

    at: a port of 127.0.0.1 or a Unix socket. socks: the port that a SOCKS client asks for.
    hops: how many servers are passed. remote: it is a server that listens.
    """

    name: str
    tunnel: str
    at: int | Path
    places: frozenset[str]
    socks: int = 0
    hops: int = 1
    remote: bool = False

    def open(self, patience: float) -> socket.socket:
        """Connect to the service. patience: seconds for each step. Raises OSError."""
        unix = isinstance(self.at, Path)
        client = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        try:
            client.settimeout(patience)
            client.connect(str(self.at) if unix else ("127.0.0.1", self.at))
            if self.socks:
                _ask_proxy(client, self.socks)
        except BaseException:
            client.close()
            raise
        return client


def ping(client: socket.socket, data: bytes) -> None:
    """Have data sent back. Raises OSError where it does not come, Altered where other data does."""
    client.sendall(data)
    answer = _exactly(client, len(data))
    if answer != data:
        where = next(i for i, (a, b) in enumerate(zip(answer, data, strict=True)) if a != b)
        raise Altered(f"byte {where} of {len(data)} came back as another")


def _ask_proxy(client: socket.socket, port: int) -> None:
    client.sendall(bytes((_VERSION, 1, _NO_LOGIN)))
    _exactly(client, 2)
    target = socket.inet_aton("127.0.0.1") + struct.pack(">H", port)
    client.sendall(bytes((_VERSION, _CONNECT, 0, _IPV4)) + target)
    code = _exactly(client, _REPLY)[1]
    if code:
        raise ConnectionRefusedError(f"the SOCKS proxy answers with code {code}")


def _exactly(client: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        data = client.recv(size - len(received))
        if not data:
            raise ConnectionResetError("the connection was closed")
        received += data
    return bytes(received)
