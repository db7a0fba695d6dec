"""The dashboard's feed, against the real control server with a fake supervisor."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.control.fakes import FakeSupervisor, a_tunnel, running_server
from tunnelkeeper.control.async_client import call
from tunnelkeeper.control.client_errors import NoSupervisorError, RemoteError
from tunnelkeeper.control.payloads import LogEvent, TunnelEvent
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot
from tunnelkeeper.dashboard import feed
from tunnelkeeper.dashboard.feed import follow_supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.control.payloads import Event

DEADLINE = 20.0
RECORD = LogRecord("2026-11-22T12:00:00Z", "info", "db", "up")


@dataclass
class RecordingListener:
    """Records what the feed reports, in order."""

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
async def running_feed(path: Path) -> AsyncIterator[RecordingListener]:
    listener = RecordingListener()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(follow_supervisor(path, listener))
        yield listener
        task.cancel()


@asynccontextmanager
async def running_supervisor(path: Path) -> AsyncIterator[FakeSupervisor]:
    fake = FakeSupervisor()
    async with asyncio.TaskGroup() as tasks, ControlServer(path, fake).serving(tasks):
        yield fake


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


async def test_the_feed_reports_the_log_then_the_status_then_events(path: Path) -> None:
    async with running_supervisor(path) as fake, running_feed(path) as listener:
        assert [record.message for record in await listener.next()] == ["up", "started"]  # type: ignore[attr-defined]
        status = await listener.next()
        assert isinstance(status, StatusSnapshot)
        assert [tunnel.name for tunnel in status.tunnels] == ["db"]
        assert fake.counters_every == feed.COUNTERS_EVERY
        fake.publish(LogEvent(RECORD))

        assert await listener.next() == LogEvent(RECORD)


async def test_the_feed_requests_the_status_again_when_a_tunnel_is_new(path: Path) -> None:
    async with running_supervisor(path) as fake, running_feed(path) as listener:
        await listener.next_status()
        fake.publish(TunnelEvent(a_tunnel("new")))
        status = await listener.next_status()

        assert [tunnel.name for tunnel in status.tunnels] == ["db", "new"]


async def test_the_feed_connects_when_a_missing_supervisor_starts(path: Path) -> None:
    async with running_feed(path) as listener:
        assert "no supervisor is running" in str(await listener.next())
        async with running_supervisor(path):
            assert (await listener.next_status()).tunnels


async def test_the_feed_reconnects_to_a_new_supervisor(path: Path) -> None:
    async with running_feed(path) as listener:
        for _ in range(2):
            async with running_supervisor(path):
                await listener.next_status()
            assert "no supervisor is running" in str(await listener.next())


async def test_a_silent_supervisor_is_abandoned_after_the_timeout(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "SILENCE_TIMEOUT", 0.05)
    async with running_supervisor(path), running_feed(path) as listener:
        await listener.next_status()

        assert await listener.next() == "the supervisor does not answer"


async def test_another_program_at_the_socket_is_reported_and_retried(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RETRY_INTERVAL", 0.0)

    async def send_banner(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 welcome to another program\n")
        await writer.drain()
        writer.close()

    path.parent.mkdir()
    server = await asyncio.start_unix_server(send_banner, path)
    async with server, running_feed(path) as listener:
        assert "answered '220 welcome to another program'" in str(await listener.next())
        assert "answered '220 welcome to another program'" in str(await listener.next())


async def test_a_call_returns_the_result(path: Path) -> None:
    async with running_supervisor(path) as fake:
        result = await call(path, "restart", DEADLINE, names=["db"])

        assert msgspec.json.decode(result) == {"names": ["db"]}
        assert fake.requests == [("restart", ["db"], None)]


async def test_a_call_raises_when_refused_or_without_a_supervisor(path: Path) -> None:
    with pytest.raises(NoSupervisorError):
        await call(path, "version", DEADLINE)
    async with running_supervisor(path):
        with pytest.raises(RemoteError, match="no tunnel is named 'other'"):
            await call(path, "restart", DEADLINE, names=["other"])


def test_the_blocking_client_does_not_subscribe_to_counters(path: Path) -> None:
    """Counters are sent only to clients that request them."""
    with running_server(path) as server:
        assert server.fake.counters_every is None
