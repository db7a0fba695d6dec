"""The dashboard's feed, against the real control server with a fake supervisor."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.control.fakes import FakeSupervised, a_tunnel, running_server
from tunnelkeeper.control.async_client import call
from tunnelkeeper.control.client import NoSupervisorError, RemoteError
from tunnelkeeper.control.payloads import LogEvent, TunnelEvent
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot
from tunnelkeeper.dashboard import feed
from tunnelkeeper.dashboard.feed import listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.control.payloads import Event

DEADLINE = 20.0
RECORD = LogRecord("2026-11-22T12:00:00Z", "info", "db", "up")


@dataclass
class RecordingListener:
    """Writes down what it is told, one after the other."""

    messages: asyncio.Queue[object] = field(default_factory=asyncio.Queue)

    def on_status(self, status: StatusSnapshot) -> None:
        self.messages.put_nowait(status)

    def on_logs(self, records: list[LogRecord]) -> None:
        self.messages.put_nowait(records)

    def on_event(self, event: Event) -> bool:
        self.messages.put_nowait(event)
        return isinstance(event, TunnelEvent) and event.tunnel.name == "new"

    def on_disconnect(self, reason: str) -> None:
        self.messages.put_nowait(reason)

    async def next(self) -> object:
        async with asyncio.timeout(DEADLINE):
            return await self.messages.get()

    async def next_status(self) -> StatusSnapshot:
        while not isinstance(message := await self.next(), StatusSnapshot):
            pass
        return message


@asynccontextmanager
async def listening(path: Path) -> AsyncIterator[RecordingListener]:
    listener = RecordingListener()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(listen(path, listener))
        yield listener
        task.cancel()


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[FakeSupervised]:
    fake = FakeSupervised()
    async with asyncio.TaskGroup() as tasks, ControlServer(path, fake).serving(tasks):
        yield fake


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


async def test_it_hears_the_log_the_picture_and_then_what_happens(path: Path) -> None:
    async with serving(path) as fake, listening(path) as listener:
        assert [record.message for record in await listener.next()] == ["up", "started"]  # type: ignore[attr-defined]
        status = await listener.next()
        assert isinstance(status, StatusSnapshot)
        assert [tunnel.name for tunnel in status.tunnels] == ["db"]
        assert fake.counters_every == feed.COUNTERS_EVERY
        fake.publish(LogEvent(RECORD))

        assert await listener.next() == LogEvent(RECORD)


async def test_it_asks_again_for_the_picture_when_something_new_appears(path: Path) -> None:
    async with serving(path) as fake, listening(path) as listener:
        await listener.next_status()
        fake.publish(TunnelEvent(a_tunnel("new")))
        status = await listener.next_status()

        assert [tunnel.name for tunnel in status.tunnels] == ["db", "new"]


async def test_it_says_that_nobody_is_there_and_finds_who_comes(path: Path) -> None:
    async with listening(path) as listener:
        assert "no supervisor is running" in str(await listener.next())
        async with serving(path):
            assert (await listener.next_status()).tunnels


async def test_it_finds_the_next_one_when_the_first_is_gone(path: Path) -> None:
    async with listening(path) as listener:
        for _ in range(2):
            async with serving(path):
                await listener.next_status()
            assert "no supervisor is running" in str(await listener.next())


async def test_a_supervisor_that_says_nothing_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "SILENCE_TIMEOUT", 0.05)
    async with serving(path), listening(path) as listener:
        await listener.next_status()

        assert await listener.next() == "the supervisor does not answer"


async def test_what_answers_something_else_is_told_and_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RETRY_INTERVAL", 0.0)

    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 welcome to another program\n")
        await writer.drain()
        writer.close()

    path.parent.mkdir()
    server = await asyncio.start_unix_server(babble, path)
    async with server, listening(path) as listener:
        assert "not a message" in str(await listener.next())
        assert "not a message" in str(await listener.next())


async def test_a_call_is_answered(path: Path) -> None:
    async with serving(path) as fake:
        said = await call(path, "restart", DEADLINE, names=["db"])

        assert msgspec.json.decode(said) == {"names": ["db"]}
        assert fake.asked == [("restart", ["db"], None)]


async def test_a_call_may_be_declined_or_find_nobody(path: Path) -> None:
    with pytest.raises(NoSupervisorError):
        await call(path, "version", DEADLINE)
    async with serving(path):
        with pytest.raises(RemoteError, match="no tunnel is named 'nobody'"):
            await call(path, "restart", DEADLINE, names=["nobody"])


def test_the_blocking_client_passes_over_counters(path: Path) -> None:
    """Whoever did not ask for counters is not disturbed by their existence."""
    with running_server(path) as server:
        assert server.fake.counters_every is None
