"""The probe tells data that came through from data that did not."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.demo.probe import Entry, ProbeError, greet, measure
from tunnelkeeper.demo.web import WebService, blob_hash

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def web() -> Iterator[WebService]:
    with WebService() as service:
        yield service


@pytest.fixture
def proxy() -> Iterator[tuple[int, list[bytes]]]:
    """A SOCKS proxy that refuses everything, and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(3)
                client.sendall(b"\x05\x00")
                asked.append(client.recv(100))
                client.sendall(b"\x05\x05\x00\x01" + bytes(6))

        thread = threading.Thread(target=refuse)
        thread.start()
        yield listening.getsockname()[1], asked
        thread.join()


def test_a_page_and_a_large_file_come_through(web: WebService) -> None:
    entry = Entry(web.port)

    assert greet(entry) > 0
    assert measure(entry, blob_hash()).rate > 0


def test_other_data_than_was_sent_is_a_failure(web: WebService) -> None:
    with pytest.raises(ProbeError, match="not what was sent"):
        measure(Entry(web.port), "0" * 64)


def test_nobody_there_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ProbeError):
        greet(Entry(port))


def test_a_refusing_proxy_is_a_failure(proxy: tuple[int, list[bytes]]) -> None:
    port, asked = proxy
    with pytest.raises(ProbeError, match="code 5"):
        greet(Entry(port, ("box", 80)))

    assert asked == [b"\x05\x01\x00\x03\x03box\x00\x50"]
