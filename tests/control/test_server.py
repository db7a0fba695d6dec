from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.control.fakes import DEADLINE, NOON, FakeSupervisor, a_tunnel, running_server
from tunnelkeeper import __version__
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.client_connection import BACKLOG_LIMIT
from tunnelkeeper.control.jsonrpc import REQUEST_LIMIT, ErrorCode
from tunnelkeeper.control.payloads import LogEvent, RemovedEvent, TunnelEvent
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass
class RawClient:
    """A client that sends and receives raw lines."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, line: bytes) -> None:
        self.writer.write(line + b"\n")

    async def receive(self) -> Any:
        line = await self.reader.readline()
        return json.loads(line) if line else None

    async def call(self, method: str, **params: object) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.send(json.dumps(request).encode())
        return await self.receive()


@dataclass
class RunningControlServer:
    fake: FakeSupervisor
    path: Path

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[RawClient]:
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=2**26)
        try:
            yield RawClient(reader, writer)
        finally:
            writer.close()


@asynccontextmanager
async def serving(path: Path, fake: FakeSupervisor) -> AsyncIterator[RunningControlServer]:
    async with (
        asyncio.timeout(DEADLINE),
        asyncio.TaskGroup() as tasks,
        ControlServer(path, fake).serving(tasks),
    ):
        yield RunningControlServer(fake, path)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningControlServer]:
    async with serving(tmp_path / "control.sock", FakeSupervisor()) as server:
        yield server


async def test_version_returns_version_and_process_id(server: RunningControlServer) -> None:
    async with server.connect() as client:
        answer = await client.call("version")

    assert answer == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {"version": __version__, "pid": os.getpid()},
    }


async def test_status_returns_the_snapshot(server: RunningControlServer) -> None:
    async with server.connect() as client:
        answer = await client.call("status", names=["db"])

    assert [tunnel["name"] for tunnel in answer["result"]["tunnels"]] == ["db"]


async def test_an_unknown_name_is_error_not_found(server: RunningControlServer) -> None:
    async with server.connect() as client:
        answer = await client.call("status", names=["dbb"])

    assert answer["error"]["code"] == ErrorCode.NOT_FOUND
    assert "'dbb'" in answer["error"]["message"]


@pytest.mark.parametrize("method", ["start", "stop", "restart"])
async def test_tunnels_are_selected_by_name_or_group(
    server: RunningControlServer, method: str
) -> None:
    async with server.connect() as client:
        by_name = await client.call(method, names=["db"])
        by_group = await client.call(method, group="unknown")

    assert by_name["result"] == {"names": ["db"]}
    assert by_group["error"]["code"] == ErrorCode.NOT_FOUND
    assert server.fake.requests == [(method, ["db"], None), (method, [], "unknown")]


async def test_an_invalid_file_is_error_bad_config_with_every_problem(
    server: RunningControlServer,
) -> None:
    server.fake.problems = [Message("t.toml:1: bad"), Message("t.toml:2: worse", "undo it")]
    async with server.connect() as client:
        answer = await client.call("reload")

    assert answer["error"]["code"] == ErrorCode.BAD_CONFIG
    assert answer["error"]["data"] == {
        "problems": ["t.toml:1: bad", "t.toml:2: worse"],
        "hint": "",
        "hints": ["", "undo it"],
    }


async def test_logs_returns_the_newest_records(server: RunningControlServer) -> None:
    async with server.connect() as client:
        everything = await client.call("logs")
        one = await client.call("logs", lines=1)
        of_db = await client.call("logs", name="db")

    assert [record["message"] for record in everything["result"]["records"]] == ["up", "started"]
    assert [record["message"] for record in one["result"]["records"]] == ["started"]
    assert [record["message"] for record in of_db["result"]["records"]] == ["up"]


async def test_shutdown_is_answered_before_the_server_stops(server: RunningControlServer) -> None:
    async with server.connect() as client:
        assert (await client.call("shutdown"))["result"] == {}
    assert server.fake.has_ended.is_set()


async def test_a_subscriber_receives_every_kind_of_event(server: RunningControlServer) -> None:
    async with server.connect() as client:
        await client.call("subscribe")
        server.fake.publish(TunnelEvent(a_tunnel("db", "backoff")))
        server.fake.publish(LogEvent(LogRecord(NOON, "warning", "db", "lost")))
        server.fake.publish(RemovedEvent("db"))
        first, second, third = [(await client.receive())["params"] for _ in range(3)]

    assert (first["type"], first["tunnel"]["state"]) == ("tunnel", "backoff")
    assert (second["type"], second["record"]["message"]) == ("log", "lost")
    assert third == {"type": "removed", "name": "db"}


async def test_subscribing_twice_does_not_double_the_events(server: RunningControlServer) -> None:
    async with server.connect() as client:
        await client.call("subscribe")
        await client.call("subscribe")

        assert len(server.fake.listeners) == 1


async def test_a_disconnected_subscriber_is_unsubscribed(server: RunningControlServer) -> None:
    async with server.connect() as client:
        await client.call("subscribe")
    await server.fake.has_no_subscribers.wait()


async def test_a_slow_reader_is_disconnected_at_the_backlog_limit(
    server: RunningControlServer,
) -> None:
    event = LogEvent(LogRecord(NOON, "info", "db", "x" * 65536))
    async with server.connect() as client, server.connect() as other:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(b'{"jsonrpc":"2.0","method":"subscribe","id":1}')
        await server.fake.is_subscribed.wait()
        published = 0
        for _ in range(1000):
            server.fake.publish(event)
            await asyncio.sleep(0)
            published += 65536
            if not server.fake.listeners:
                break

        assert published < 4 * BACKLOG_LIMIT
        assert "result" in await other.call("version")


async def test_a_response_larger_than_the_backlog_limit_is_delivered(
    server: RunningControlServer,
) -> None:
    server.fake.records = [LogRecord(NOON, "info", "db", "x" * 1000)] * 3000
    async with server.connect() as client:
        await client.call("subscribe")
        client.send(b'{"jsonrpc":"2.0","method":"logs","id":2,"params":{"lines":3000}}')
        await asyncio.sleep(0)
        server.fake.publish(RemovedEvent("db"))
        messages = [await client.receive(), await client.receive()]

    assert {"result", "params"} <= {key for message in messages for key in message}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"hello", ErrorCode.PARSE_ERROR),
        (b"[]", ErrorCode.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":"dance"}', ErrorCode.METHOD_NOT_FOUND),
        (b'{"jsonrpc":"2.0","id":1,"method":"stop","params":{"now":1}}', ErrorCode.INVALID_PARAMS),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"x":1}}',
            ErrorCode.INVALID_PARAMS,
        ),
        (b'{"jsonrpc":"2.0","id":1,"method":"connect","params":{}}', ErrorCode.INVALID_PARAMS),
        (
            b'{"jsonrpc":"2.0","method":"connect","params":{"name":"db","target":"echo:7"}}',
            ErrorCode.INVALID_REQUEST,
        ),
    ],
)
async def test_an_invalid_request_is_answered_and_the_connection_stays_open(
    server: RunningControlServer, line: bytes, code: ErrorCode
) -> None:
    async with server.connect() as client:
        client.send(line)

        assert (await client.receive())["error"]["code"] == code
        assert "result" in await client.call("version")


async def test_a_notification_is_executed_without_a_response(server: RunningControlServer) -> None:
    async with server.connect() as client:
        client.send(b'{"jsonrpc":"2.0","method":"start","params":{"names":["db"]}}')
        client.send(b'{"jsonrpc":"2.0","method":"start","params":{"names":["unknown"]}}')

        assert "version" in (await client.call("version"))["result"]
    assert server.fake.requests == [("start", ["db"], None), ("start", ["unknown"], None)]


async def test_a_line_above_the_size_limit_is_refused(server: RunningControlServer) -> None:
    async with server.connect() as client:
        client.writer.write(b"x" * (REQUEST_LIMIT + 1))

        assert "at most 65536 bytes" in (await client.receive())["error"]["message"]
        with suppress(ConnectionResetError):  # the server closed with unread data after the limit
            assert await client.receive() is None


async def test_an_exception_in_a_handler_is_an_internal_error(
    server: RunningControlServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def status(names: list[str] | None) -> StatusSnapshot:
        raise ZeroDivisionError("\x1b[2J")

    monkeypatch.setattr(server.fake, "status", status)
    async with server.connect() as client:
        answer = await client.call("status")

        assert answer["error"]["code"] == ErrorCode.INTERNAL_ERROR
        assert "ZeroDivisionError: \\x1b[2J" in answer["error"]["message"]
        assert "result" in await client.call("version")
    assert "ZeroDivisionError" in caplog.text


async def test_a_result_that_json_cannot_encode_is_an_internal_error(
    server: RunningControlServer,
) -> None:
    server.fake.records = [LogRecord(NOON, "info", "db", "\udce9")]
    async with server.connect() as client:
        assert (await client.call("logs"))["error"]["code"] == ErrorCode.INTERNAL_ERROR


async def test_a_timeout_in_a_handler_is_error_timed_out(
    server: RunningControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reload() -> list[str]:
        raise TimeoutError

    monkeypatch.setattr(server.fake, "reload", reload)
    async with server.connect() as client:
        answer = await client.call("reload")

    assert answer["error"] == {"code": ErrorCode.TIMED_OUT, "message": "timed out"}


async def test_a_client_of_another_user_is_disconnected(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        server = ControlServer(path, FakeSupervisor(), peer_uid=lambda _sock: os.geteuid() + 1)
        async with server.serving(tasks):
            reader, writer = await asyncio.open_unix_connection(str(path))
            assert await reader.read() == b""
            writer.close()


async def test_shutdown_removes_the_socket_and_disconnects_every_client(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    fake = FakeSupervisor()

    async with serving(path, fake) as server:
        reader, writer = await asyncio.open_unix_connection(str(path))
        client = RawClient(reader, writer)
        await client.call("subscribe")
        del server

    assert not path.exists()
    assert await reader.read() == b""
    assert not fake.listeners
    writer.close()


async def test_connect_turns_the_connection_into_a_stream_to_the_target(
    server: RunningControlServer,
) -> None:
    async with server.connect() as client:
        answer = await client.call("connect", name="db", target="echo:7")
        client.writer.write(b"hello")
        client.writer.write_eof()

        assert answer["result"] == {"connected": True}
        assert await client.reader.read() == b"HELLOBYE"


async def test_data_sent_before_the_response_to_connect_is_not_lost(
    server: RunningControlServer,
) -> None:
    request = (
        b'{"jsonrpc":"2.0","id":1,"method":"connect","params":{"name":"db","target":"echo:7"}}'
    )
    async with server.connect() as client:
        client.writer.write(request + b"\nearly\nbird")
        client.writer.write_eof()

        assert "result" in await client.receive()
        assert await client.reader.read() == b"EARLY\nBIRDBYE"


async def test_a_refused_target_is_an_error_and_closes_the_connection(
    server: RunningControlServer,
) -> None:
    async with server.connect() as client:
        answer = await client.call("connect", name="db", target="closed:1")

        assert answer["error"] == {
            "code": ErrorCode.FAILED,
            "message": "closed:1: Connection refused",
        }
        assert await client.receive() is None


def test_arbitrary_bytes_do_not_disturb_the_server(tmp_path: Path) -> None:
    with running_server(tmp_path / "control.sock") as server:

        @settings(max_examples=60, deadline=None)
        @given(st.lists(st.binary(max_size=300), max_size=5))
        def send_random_lines(lines: list[bytes]) -> None:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(DEADLINE)
                sock.connect(str(server.path))
                sock.sendall(b"\n".join(lines))
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            with Client(server.path) as client:
                assert client.version().pid == os.getpid()

        send_random_lines()
