from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import NOON, RunningServer, a_tunnel, running_server
from tests.rights import without_root
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.client_errors import (
    ForeignSocketError,
    NoSupervisorError,
    NotPermittedError,
    RemoteError,
)
from tunnelkeeper.control.jsonrpc import ErrorCode, ProtocolError
from tunnelkeeper.control.payloads import LogEvent, TunnelEvent
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.snapshot import LogRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "control.sock") as running:
        yield running


@contextmanager
def scripted_server(path: Path, *lines: bytes) -> Iterator[None]:
    """Accept one connection, answer each request with the next line, then close it."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as requests:
            for line in lines:
                requests.readline()
                connection.sendall(line)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        listener.close()


def test_calls_return_typed_results(server: RunningServer) -> None:
    with Client(server.path) as client:
        assert client.version().pid == os.getpid()
        assert [tunnel.name for tunnel in client.status().tunnels] == ["db"]
        assert client.start(["db"]) == ["db"]
        assert client.stop(["db"]) == ["db"]
        assert client.restart([], "all") == ["db"]
        assert client.reload() == ["db: a forward was added"]
        assert [record.message for record in client.logs("db", 10)] == ["up"]
        client.shutdown()


def test_a_socket_without_a_listener_is_no_supervisor(tmp_path: Path) -> None:
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(stale))

    for path in (tmp_path / "control.sock", stale, stale / "control.sock"):
        with pytest.raises(NoSupervisorError, match=r"no supervisor is running$") as caught:
            Client(path)
        assert caught.value.hint == "tunnelkeeper up --detach"


def test_an_unusable_path_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="longer than") as caught:
        Client(tmp_path / ("x" * 200))
    assert "xxx" in caught.value.filename


def test_an_error_response_is_raised_with_code_and_problems(
    server: RunningServer,
) -> None:
    server.fake.problems = [Message("tunnels.toml:1: bad", "write it well")]
    with Client(server.path) as client:
        with pytest.raises(RemoteError) as caught:
            client.reload()

        assert (caught.value.code, caught.value.problems) == (
            ErrorCode.BAD_CONFIG,
            (Message("tunnels.toml:1: bad", "write it well"),),
        )
        assert client.version().pid == os.getpid()


def test_events_before_the_response_to_follow_are_dropped(server: RunningServer) -> None:
    with Client(server.path) as client:
        client.call("subscribe")
        server.publish(TunnelEvent(a_tunnel("db", "connecting")))
        client.follow("status")
        server.publish(TunnelEvent(a_tunnel("db", "backoff")))

        event = next(client.events(time.monotonic() + 10))

    assert event == TunnelEvent(a_tunnel("db", "backoff"))


def test_events_received_during_a_call_are_kept(server: RunningServer) -> None:
    record = LogRecord(NOON, "info", "db", "lost")
    with Client(server.path) as client:
        client.call("subscribe")
        server.publish(LogEvent(record))
        client.reload()

        assert next(client.events(time.monotonic() + 10)) == LogEvent(record)


def test_waiting_for_events_times_out_at_the_deadline(server: RunningServer) -> None:
    with Client(server.path) as client:
        client.follow("status")

        with pytest.raises(TimeoutError):
            next(client.events(time.monotonic() + 0.01))
        with pytest.raises(TimeoutError):
            next(client.events(time.monotonic() - 1))


def test_events_end_when_the_supervisor_exits(server: RunningServer) -> None:
    with Client(server.path) as client:
        client.follow("status")
        server.stop()

        with pytest.raises(NoSupervisorError):
            next(client.events())
        with pytest.raises(NoSupervisorError):
            client.version()


def test_a_server_that_does_not_answer_is_a_timeout(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        with Client(path, timeout=0.01) as client, pytest.raises(TimeoutError, match=str(path)):
            client.version()


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (b"220 mail.example.com ESMTP\n", "answered '220 mail.example.com ESMTP'"),
        (b"no newline", "answered 'no newline'"),
        (b"\xff\x1b[2J\n", r"answered '\xff\x1b[2J'"),
        (b'{"status":"ok"}\n', "answered '{"),
        (b"x" * 1000 + b"\n", "answered 'xxx"),
    ],
)
def test_the_answer_of_another_program_is_shown(tmp_path: Path, answer: bytes, shown: str) -> None:
    path = tmp_path / "s"
    with (
        scripted_server(path, answer),
        Client(path) as client,
        pytest.raises(ForeignSocketError) as caught,
    ):
        client.version()

    message = str(caught.value)
    assert message.startswith(f"{path} is a socket of another program, which {shown}")
    assert caught.value.hint == "choose another path with --socket PATH"
    assert len(message) < len(str(path)) + 200


def test_a_datagram_socket_is_that_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))

        with pytest.raises(ForeignSocketError, match=r"is a socket of another program$"):
            Client(path)


def test_an_invalid_result_is_a_protocol_error(tmp_path: Path) -> None:
    line = b'{"jsonrpc":"2.0","id":1,"result":{"pid":"?"}}\n'
    with (
        scripted_server(tmp_path / "s", line),
        Client(tmp_path / "s") as client,
        pytest.raises(ProtocolError, match="another version"),
    ):
        client.version()


def test_unknown_events_are_ignored(tmp_path: Path) -> None:
    lines = (
        b'{"jsonrpc":"2.0","method":"event","params":{"type":"weather","rain":true}}\n'
        b'{"jsonrpc":"2.0","method":"greeting","params":{}}\n'
        b'{"jsonrpc":"2.0","method":"event","params":{"type":"removed","name":"db"}}\n'
        b'{"jsonrpc":"2.0","id":1,"result":{}}\n'
    )
    with scripted_server(tmp_path / "s", lines), Client(tmp_path / "s") as client:
        client.call("subscribe")

        assert type(next(client.events())).__name__ == "RemovedEvent"


def test_a_late_response_to_a_timed_out_call_is_ignored(tmp_path: Path) -> None:
    late_and_current = (
        b'{"jsonrpc":"2.0","id":1,"result":{"version":"late","pid":1}}\n'
        b'{"jsonrpc":"2.0","id":2,"result":{"version":"0.1.0","pid":2}}\n'
    )
    with scripted_server(tmp_path / "s", b"", late_and_current), Client(tmp_path / "s") as client:
        with pytest.raises(TimeoutError):
            client.call("version", timeout=0.01)

        assert client.version().pid == 2


def test_connect_returns_the_socket_and_the_data_after_the_response(server: RunningServer) -> None:
    with Client(server.path) as client:
        sock, early = client.connect("db", "echo:7")
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        received = early
        while data := sock.recv(100):
            received += data

    assert received == b"HELLOBYE"


def test_connect_reports_why_the_target_refused(server: RunningServer) -> None:
    with Client(server.path) as client, pytest.raises(RemoteError, match=r"closed:1.*refused"):
        client.connect("db", "closed:1")


def test_a_socket_of_another_user_is_a_permission_error(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0)
        with without_root(), pytest.raises(NotPermittedError, match="permission denied"):
            Client(path)


def test_the_hint_of_an_error_arrives_apart_from_its_message(server: RunningServer) -> None:
    with Client(server.path) as client, pytest.raises(RemoteError) as refused:
        client.start(["nope"])

    assert refused.value.message == "no tunnel is named 'nope'"
    assert refused.value.hint == "tunnelkeeper status"
