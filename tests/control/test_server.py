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
from tunnelkeeper.control.server import CONNECTION_LIMIT, ControlServer
from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass
class Talk:
    """A client that says and hears raw lines."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, line: bytes) -> None:
        self.writer.write(line + b"\n")

    async def hear(self) -> Any:
        line = await self.reader.readline()
        return json.loads(line) if line else None

    async def ask(self, method: str, **params: object) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.say(json.dumps(request).encode())
        return await self.hear()


@dataclass
class Served:
    fake: FakeSupervisor
    path: Path

    @asynccontextmanager
    async def talk(self) -> AsyncIterator[Talk]:
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=2**26)
        try:
            yield Talk(reader, writer)
        finally:
            writer.close()


@asynccontextmanager
async def serving(path: Path, fake: FakeSupervisor) -> AsyncIterator[Served]:
    async with (
        asyncio.timeout(DEADLINE),
        asyncio.TaskGroup() as tasks,
        ControlServer(path, fake).serving(tasks),
    ):
        yield Served(fake, path)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path / "control.sock", FakeSupervisor()) as server:
        yield server


async def test_version_names_the_program_and_the_process(served: Served) -> None:
    async with served.talk() as talk:
        answer = await talk.ask("version")

    assert answer == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {"version": __version__, "pid": os.getpid()},
    }


async def test_status_is_the_snapshot(served: Served) -> None:
    async with served.talk() as talk:
        answer = await talk.ask("status", names=["db"])

    assert [tunnel["name"] for tunnel in answer["result"]["tunnels"]] == ["db"]


async def test_an_unknown_name_is_error_4(served: Served) -> None:
    async with served.talk() as talk:
        answer = await talk.ask("status", names=["dbb"])

    assert answer["error"]["code"] == ErrorCode.NOT_FOUND
    assert "'dbb'" in answer["error"]["message"]


@pytest.mark.parametrize("method", ["start", "stop", "restart"])
async def test_tunnels_are_moved_by_name_or_group(served: Served, method: str) -> None:
    async with served.talk() as talk:
        by_name = await talk.ask(method, names=["db"])
        by_group = await talk.ask(method, group="nobody")

    assert by_name["result"] == {"names": ["db"]}
    assert by_group["error"]["code"] == ErrorCode.NOT_FOUND
    assert served.fake.asked == [(method, ["db"], None), (method, [], "nobody")]


async def test_a_bad_file_is_error_2_with_every_problem(served: Served) -> None:
    served.fake.problems = ["tunnels.toml:1: bad", "tunnels.toml:2: worse"]
    async with served.talk() as talk:
        answer = await talk.ask("reload")

    assert answer["error"]["code"] == ErrorCode.BAD_CONFIG
    assert answer["error"]["data"] == {"problems": served.fake.problems}


async def test_logs_are_the_newest_lines(served: Served) -> None:
    async with served.talk() as talk:
        everything = await talk.ask("logs")
        one = await talk.ask("logs", lines=1)
        of_db = await talk.ask("logs", name="db")

    assert [record["message"] for record in everything["result"]["records"]] == ["up", "started"]
    assert [record["message"] for record in one["result"]["records"]] == ["started"]
    assert [record["message"] for record in of_db["result"]["records"]] == ["up"]


async def test_shutdown_is_answered_before_it_happens(served: Served) -> None:
    async with served.talk() as talk:
        assert (await talk.ask("shutdown"))["result"] == {}
    assert served.fake.has_ended.is_set()


async def test_a_subscriber_hears_every_kind_of_event(served: Served) -> None:
    async with served.talk() as talk:
        await talk.ask("subscribe")
        served.fake.publish(TunnelEvent(a_tunnel("db", "backoff")))
        served.fake.publish(LogEvent(LogRecord(NOON, "warning", "db", "lost")))
        served.fake.publish(RemovedEvent("db"))
        first, second, third = [(await talk.hear())["params"] for _ in range(3)]

    assert (first["type"], first["tunnel"]["state"]) == ("tunnel", "backoff")
    assert (second["type"], second["record"]["message"]) == ("log", "lost")
    assert third == {"type": "removed", "name": "db"}


async def test_subscribing_twice_does_not_double_the_events(served: Served) -> None:
    async with served.talk() as talk:
        await talk.ask("subscribe")
        await talk.ask("subscribe")

        assert len(served.fake.listeners) == 1


async def test_a_subscriber_who_leaves_is_forgotten(served: Served) -> None:
    async with served.talk() as talk:
        await talk.ask("subscribe")
    await served.fake.is_unfollowed.wait()


async def test_a_slow_reader_is_dropped_and_costs_a_bounded_buffer(served: Served) -> None:
    chatter = LogEvent(LogRecord(NOON, "info", "db", "x" * 65536))
    async with served.talk() as talk, served.talk() as other:
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
        talk.say(b'{"jsonrpc":"2.0","method":"subscribe","id":1}')
        await served.fake.is_subscribed.wait()
        published = 0
        for _ in range(1000):
            served.fake.publish(chatter)
            await asyncio.sleep(0)
            published += 65536
            if not served.fake.listeners:
                break

        assert published < 4 * BACKLOG_LIMIT
        assert "result" in await other.ask("version")


async def test_an_answer_larger_than_the_backlog_drops_nobody(served: Served) -> None:
    served.fake.records = [LogRecord(NOON, "info", "db", "x" * 1000)] * 3000
    async with served.talk() as talk:
        await talk.ask("subscribe")
        talk.say(b'{"jsonrpc":"2.0","method":"logs","id":2,"params":{"lines":3000}}')
        await asyncio.sleep(0)
        served.fake.publish(RemovedEvent("db"))
        heard = [await talk.hear(), await talk.hear()]

    assert {"result", "params"} <= {key for message in heard for key in message}


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
async def test_a_bad_request_is_answered_and_the_connection_kept(
    served: Served, line: bytes, code: ErrorCode
) -> None:
    async with served.talk() as talk:
        talk.say(line)

        assert (await talk.hear())["error"]["code"] == code
        assert "result" in await talk.ask("version")


async def test_a_notification_is_done_and_not_answered(served: Served) -> None:
    async with served.talk() as talk:
        talk.say(b'{"jsonrpc":"2.0","method":"start","params":{"names":["db"]}}')
        talk.say(b'{"jsonrpc":"2.0","method":"start","params":{"names":["nobody"]}}')

        assert "version" in (await talk.ask("version"))["result"]
    assert served.fake.asked == [("start", ["db"], None), ("start", ["nobody"], None)]


async def test_a_line_without_an_end_is_refused_at_the_limit(served: Served) -> None:
    async with served.talk() as talk:
        talk.writer.write(b"x" * (REQUEST_LIMIT + 1))

        assert "at most 65536 bytes" in (await talk.hear())["error"]["message"]
        with suppress(ConnectionResetError):  # it left what came after the limit unread
            assert await talk.hear() is None


async def test_a_bug_in_a_handler_is_an_internal_error_and_not_the_end(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def status(names: list[str] | None) -> StatusSnapshot:
        raise ZeroDivisionError("\x1b[2J")

    monkeypatch.setattr(served.fake, "status", status)
    async with served.talk() as talk:
        answer = await talk.ask("status")

        assert answer["error"]["code"] == ErrorCode.INTERNAL_ERROR
        assert "ZeroDivisionError: \\x1b[2J" in answer["error"]["message"]
        assert "result" in await talk.ask("version")
    assert "ZeroDivisionError" in caplog.text


async def test_what_json_cannot_say_is_an_internal_error(served: Served) -> None:
    served.fake.records = [LogRecord(NOON, "info", "db", "\udce9")]
    async with served.talk() as talk:
        assert (await talk.ask("logs"))["error"]["code"] == ErrorCode.INTERNAL_ERROR


async def test_a_deadline_that_passed_is_error_5(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reload() -> list[str]:
        raise TimeoutError

    monkeypatch.setattr(served.fake, "reload", reload)
    async with served.talk() as talk:
        answer = await talk.ask("reload")

    assert answer["error"] == {"code": ErrorCode.TIMED_OUT, "message": "timed out"}


async def test_one_connection_too_many_is_told_so(served: Served) -> None:
    talks = [served.talk() for _ in range(CONNECTION_LIMIT)]
    for each in talks:
        await (await each.__aenter__()).ask("version")

    async with served.talk() as talk:
        assert (await talk.hear())["error"]["code"] == ErrorCode.TOO_MANY_CONNECTIONS
        assert await talk.hear() is None

    for each in talks:
        await each.__aexit__(None, None, None)


async def test_a_foreign_user_is_not_talked_to(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        server = ControlServer(path, FakeSupervisor(), peer_uid=lambda _sock: os.geteuid() + 1)
        async with server.serving(tasks):
            reader, writer = await asyncio.open_unix_connection(str(path))
            assert await reader.read() == b""
            writer.close()


async def test_the_socket_is_gone_and_every_client_dismissed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    fake = FakeSupervisor()

    async with serving(path, fake) as server:
        reader, writer = await asyncio.open_unix_connection(str(path))
        talk = Talk(reader, writer)
        await talk.ask("subscribe")
        del server

    assert not path.exists()
    assert await reader.read() == b""
    assert not fake.listeners
    writer.close()


async def test_connect_turns_the_connection_into_the_targets(served: Served) -> None:
    async with served.talk() as talk:
        answer = await talk.ask("connect", name="db", target="echo:7")
        talk.writer.write(b"hello")
        talk.writer.write_eof()

        assert answer["result"] == {"connected": True}
        assert await talk.reader.read() == b"HELLOBYE"


async def test_bytes_sent_before_the_answer_to_connect_are_not_lost(served: Served) -> None:
    request = (
        b'{"jsonrpc":"2.0","id":1,"method":"connect","params":{"name":"db","target":"echo:7"}}'
    )
    async with served.talk() as talk:
        talk.writer.write(request + b"\nearly\nbird")
        talk.writer.write_eof()

        assert "result" in await talk.hear()
        assert await talk.reader.read() == b"EARLY\nBIRDBYE"


async def test_a_target_that_refuses_is_error_1_and_the_end(served: Served) -> None:
    async with served.talk() as talk:
        answer = await talk.ask("connect", name="db", target="closed:1")

        assert answer["error"] == {
            "code": ErrorCode.FAILED,
            "message": "closed:1: Connection refused",
        }
        assert await talk.hear() is None


async def test_streams_do_not_use_up_the_control_connections(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunnelkeeper.control.server.CONNECTION_LIMIT", 1)
    async with served.talk() as stream:
        await stream.ask("connect", name="db", target="echo:7")
        async with served.talk() as talk:
            assert "result" in await talk.ask("version")


def test_arbitrary_bytes_do_not_disturb_the_server(tmp_path: Path) -> None:
    with running_server(tmp_path / "control.sock") as server:

        @settings(max_examples=60, deadline=None)
        @given(st.lists(st.binary(max_size=300), max_size=5))
        def throw(lines: list[bytes]) -> None:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(DEADLINE)
                sock.connect(str(server.path))
                sock.sendall(b"\n".join(lines))
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            with Client(server.path) as client:
                assert client.version().pid == os.getpid()

        throw()
