"""Tests for the demo's probes: correct, corrupted and missing data."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.demo.probe import EntryPoint, ProbeError, fetch_greeting, measure_tunnel
from tunnelkeeper.demo.web import WebServer, compute_blob_hash

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer() as service:
        yield service


@pytest.fixture
def proxy() -> Iterator[tuple[int, list[bytes]]]:
    """Run a SOCKS proxy that refuses every request; return its port and the requests."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(3)
                client.sendall(b"\x05\x00")
                requests.append(client.recv(100))
                client.sendall(b"\x05\x05\x00\x01" + bytes(6))

        thread = threading.Thread(target=refuse)
        thread.start()
        yield listening.getsockname()[1], requests
        thread.join()


def test_a_page_and_a_large_file_are_received(web: WebServer) -> None:
    entry = EntryPoint(web.port)

    assert fetch_greeting(entry) > 0
    assert measure_tunnel(entry, compute_blob_hash()).rate > 0


def test_corrupted_data_is_an_error(web: WebServer) -> None:
    with pytest.raises(ProbeError, match="differs from what was sent"):
        measure_tunnel(EntryPoint(web.port), "0" * 64)


def test_a_refused_connection_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ProbeError):
        fetch_greeting(EntryPoint(port))


def test_a_refusing_proxy_is_an_error(proxy: tuple[int, list[bytes]]) -> None:
    port, requests = proxy
    with pytest.raises(ProbeError, match="code 5"):
        fetch_greeting(EntryPoint(port, ("box", 80)))

    assert requests == [b"\x05\x01\x00\x03\x03box\x00\x50"]
