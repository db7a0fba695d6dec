"""Checks of a tunnel with real data, fetched from the web server behind it as a client would."""

from __future__ import annotations

import hashlib
import http.client
import socket
import struct
import time
from dataclasses import dataclass

from tunnelkeeper.demo.web import BLOB_BYTES, GREETING

PROBE_TIMEOUT = 10.0
"""Timeout of each network operation, in seconds."""


class ProbeError(Exception):
    """The tunnel carried no data, or the data differs from what was sent."""


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """Where a client connects to a tunnel: a port on 127.0.0.1, and the target for SOCKS."""

    port: int
    socks_target: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """The result of a probe: seconds for a small page, and bytes per second for a large one."""

    seconds: float
    rate: float


def fetch_greeting(entry_point: EntryPoint) -> float:
    """Fetch the greeting and return the seconds from the connect to the last byte.

    Raises ProbeError.
    """
    started = time.monotonic()
    body = _fetch(entry_point, "/")
    if body != GREETING:
        raise ProbeError("the response is not the one of the demo's web server")
    return time.monotonic() - started


def measure_tunnel(entry_point: EntryPoint, expected_hash: str) -> Measurement:
    """Fetch the greeting and the blob, and compare the blob by its hash.

    Raises ProbeError.
    """
    seconds = fetch_greeting(entry_point)
    started = time.monotonic()
    body = _fetch(entry_point, "/blob")
    duration = time.monotonic() - started
    if hashlib.sha256(body).hexdigest() != expected_hash:
        raise ProbeError("the received data differs from what was sent")
    return Measurement(seconds, BLOB_BYTES / duration)


def _fetch(entry_point: EntryPoint, path: str) -> bytes:
    try:
        connection = http.client.HTTPConnection("service", timeout=PROBE_TIMEOUT)
        connection.sock = _connect(entry_point)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            return connection.getresponse().read()
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise ProbeError(str(error) or "the connection failed") from error


def _connect(entry_point: EntryPoint) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", entry_point.port), timeout=PROBE_TIMEOUT)
    if entry_point.socks_target is not None:
        try:
            _request_socks_target(connection, *entry_point.socks_target)
        except BaseException:
            connection.close()
            raise
    return connection


def _request_socks_target(connection: socket.socket, host: str, port: int) -> None:
    """Perform the SOCKS5 handshake of a client without authentication (RFC 1928)."""
    connection.sendall(b"\x05\x01\x00")
    if _receive_exactly(connection, 2) != b"\x05\x00":
        raise ProbeError("the SOCKS proxy requires authentication")
    name = host.encode("ascii")
    connection.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + struct.pack(">H", port))
    reply = _receive_exactly(connection, 10)
    if reply[1] != 0:
        raise ProbeError(f"the SOCKS proxy replied with code {reply[1]}")


def _receive_exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        received = connection.recv(count - len(data))
        if not received:
            raise ProbeError("the SOCKS proxy closed the connection")
        data += received
    return data
