"""Real data through a tunnel: fetch from the web service behind it, as its clients would."""

from __future__ import annotations

import hashlib
import http.client
import socket
import struct
import time
from dataclasses import dataclass

from tunnelkeeper.demo.web import BLOB_BYTES, GREETING

PROBE_TIMEOUT = 10.0
"""Seconds for one step of a fetch."""


class ProbeError(Exception):
    """No data came through, or other data than was sent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a client enters a tunnel: a port on 127.0.0.1, and for SOCKS the target to name."""

    port: int
    socks_target: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """What a probe saw: seconds for a small page, and bytes per second of a large one."""

    seconds: float
    rate: float


def greet(entry: Entry) -> float:
    """Fetch the greeting; returns the seconds it took from connecting to the last byte.

    Raises ProbeFailed.
    """
    began = time.monotonic()
    body = _fetch(entry, "/")
    if body != GREETING:
        raise ProbeError("the answer is not the service's")
    return time.monotonic() - began


def measure(entry: Entry, expected_hash: str) -> Measure:
    """Fetch the greeting and the blob, and compare the blob by its hash.

    Raises ProbeFailed.
    """
    seconds = greet(entry)
    began = time.monotonic()
    body = _fetch(entry, "/blob")
    took = time.monotonic() - began
    if hashlib.sha256(body).hexdigest() != expected_hash:
        raise ProbeError("the data that came through is not what was sent")
    return Measure(seconds, BLOB_BYTES / took)


def _fetch(entry: Entry, path: str) -> bytes:
    try:
        connection = http.client.HTTPConnection("service", timeout=PROBE_TIMEOUT)
        connection.sock = _connect(entry)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            return connection.getresponse().read()
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise ProbeError(str(error) or type(error).__name__) from error


def _connect(entry: Entry) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", entry.port), timeout=PROBE_TIMEOUT)
    if entry.socks_target is not None:
        try:
            _ask_proxy(connection, *entry.socks_target)
        except BaseException:
            connection.close()
            raise
    return connection


def _ask_proxy(connection: socket.socket, host: str, port: int) -> None:
    """Be a SOCKS5 client without authentication (RFC 1928)."""
    connection.sendall(b"\x05\x01\x00")
    if _exactly(connection, 2) != b"\x05\x00":
        raise ProbeError("the SOCKS proxy asks for a login")
    name = host.encode("ascii")
    connection.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + struct.pack(">H", port))
    reply = _exactly(connection, 10)
    if reply[1] != 0:
        raise ProbeError(f"the SOCKS proxy answers with code {reply[1]}")


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ProbeError("the SOCKS proxy closed the connection")
        data += more
    return data
