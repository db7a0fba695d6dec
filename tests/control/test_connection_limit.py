"""Connections up to the limit of the control server and above it."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import DEADLINE, RunningServer, running_server
from tunnelkeeper.control import async_client
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.client_errors import RemoteError
from tunnelkeeper.control.jsonrpc import ErrorCode
from tunnelkeeper.control.server import CONNECTION_LIMIT, RESERVE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "control.sock") as running:
        yield running


def ask_version(sock: socket.socket) -> None:
    sock.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "version"}\n')
    assert b"result" in sock.recv(1000)


@contextmanager
def idle_connections(server: RunningServer, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(count)]
        for sock in socks:
            sock.settimeout(DEADLINE)
            sock.connect(str(server.path))
            ask_version(sock)
        yield socks


@contextmanager
def subscribers(server: RunningServer, count: int) -> Iterator[list[Client]]:
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server.path, DEADLINE)) for _ in range(count)]
        for client in clients:
            client.call("subscribe")
        yield clients


def test_the_longest_idle_connection_is_closed_for_a_new_one(server: RunningServer) -> None:
    with idle_connections(server, CONNECTION_LIMIT) as idle:
        with Client(server.path, DEADLINE) as client:
            assert client.version().pid == os.getpid()

        assert b"idle the longest" in idle[0].recv(1000)
        assert idle[0].recv(1000) == b""
        ask_version(idle[1])


def test_a_request_ends_the_idle_time(server: RunningServer) -> None:
    with Client(server.path, DEADLINE) as first:
        first.version()
        with idle_connections(server, CONNECTION_LIMIT - 1) as idle:
            first.version()
            with Client(server.path, DEADLINE) as client:
                client.version()
                first.version()
            assert b"idle the longest" in idle[0].recv(1000)


@pytest.mark.parametrize("unfinished", [b"{", b'{"jsonrpc": "2.0", "id": 1, "meth'])
def test_a_connection_in_the_middle_of_a_request_is_idle(
    server: RunningServer, unfinished: bytes
) -> None:
    with idle_connections(server, CONNECTION_LIMIT + 30) as idle:
        for sock in idle[30:]:
            sock.sendall(unfinished)
        with Client(server.path, DEADLINE) as client:
            client.version()


def test_a_client_whose_connection_was_closed_reports_the_reason(server: RunningServer) -> None:
    with Client(server.path, DEADLINE) as first, idle_connections(server, CONNECTION_LIMIT):
        with Client(server.path, DEADLINE) as client:
            client.version()
        with pytest.raises(RemoteError, match="idle the longest") as caught:
            first.version()
    assert caught.value.code == ErrorCode.TOO_MANY_CONNECTIONS


def test_a_connection_that_holds_a_tunnel_is_not_idle(server: RunningServer) -> None:
    with Client(server.path, DEADLINE) as client:
        client.open({"host": "relay"}, bound=True)
        with idle_connections(server, CONNECTION_LIMIT) as idle:
            assert b"idle the longest" in idle[0].recv(1000)
            assert client.version().pid


def test_single_requests_are_answered_when_every_connection_is_subscribed(
    server: RunningServer,
) -> None:
    with subscribers(server, CONNECTION_LIMIT), Client(server.path, DEADLINE) as client:
        assert client.version().pid == os.getpid()
        with pytest.raises(RemoteError, match="too many clients follow"):
            client.call("subscribe")
        assert client.version().pid == os.getpid()


def test_a_connection_that_replaces_one_of_the_reserve_cannot_subscribe_either(
    server: RunningServer,
) -> None:
    with subscribers(server, CONNECTION_LIMIT), idle_connections(server, 2) as idle:
        assert b"idle the longest" in idle[0].recv(1000)
        with (
            Client(server.path, DEADLINE) as client,
            pytest.raises(RemoteError, match="too many clients follow"),
        ):
            client.call("subscribe")
        assert b"idle the longest" in idle[1].recv(1000)


async def test_a_connection_above_the_reserve_is_refused_with_the_reason(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunnelkeeper.control.server.CONNECTION_LIMIT", 1)
    monkeypatch.setattr("tunnelkeeper.control.server.RESERVE", 0)
    with subscribers(server, 1):
        with Client(server.path, DEADLINE) as client, pytest.raises(RemoteError) as caught:
            client.version()
        with pytest.raises(RemoteError) as caught_by_asyncio:
            await async_client.call(server.path, "version", DEADLINE)

    assert caught.value.code == ErrorCode.TOO_MANY_CONNECTIONS
    assert str(caught_by_asyncio.value) == str(caught.value)
    assert f"{CONNECTION_LIMIT + RESERVE} control connections" in str(caught.value)


def test_streams_do_not_count(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunnelkeeper.control.server.CONNECTION_LIMIT", 1)
    monkeypatch.setattr("tunnelkeeper.control.server.RESERVE", 0)
    with Client(server.path, DEADLINE) as stream:
        sock, _ = stream.connect("db", "echo:7")
        with Client(server.path, DEADLINE) as client:
            client.version()
            sock.sendall(b"still here")
            assert sock.recv(100) == b"STILL HERE"


def test_a_full_queue_of_connections_is_a_supervisor_that_does_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as stack:
        listener.bind(str(path))
        listener.listen(0)
        stack.enter_context(socket.socket(socket.AF_UNIX)).connect(
            str(path)
        )  # listen(0) admits one
        with pytest.raises(TimeoutError, match="does not answer"):
            Client(path, 0.1)
