from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING

import pytest

from tests.ssh.links import Link, link
from tests.ssh.server import Server, connected
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core import keepalive
from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.ssh.keepalive_monitor import KeepaliveMonitor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.ssh.transport import ClientTransport

INTERVAL = 0.05


@asynccontextmanager
async def watched(server: Server, keepalive: Keepalive) -> AsyncIterator[tuple[Connection, Link]]:
    """Run a monitored connection, and the link it uses."""
    async with link(server.port) as path:
        server.port = path.port
        server.know(server.host_key)
        async with connected(server.host(keepalive=keepalive)) as connection:
            yield connection, path


@pytest.mark.parametrize("count_max", [1, 3])
async def test_a_server_that_stops_answering_is_dead_after_the_last_unanswered_probe(
    server: Server, count_max: int
) -> None:
    async with watched(server, Keepalive(INTERVAL, count_max)) as (connection, path):
        await until(lambda: connection.rtt_ms is not None)
        path.freeze()
        heard = connection.transport.last_received_at
        async with asyncio.timeout(DEADLINE):
            failure = await connection.wait_ended()

        silence = asyncio.get_running_loop().time() - heard
        assert failure.cause is Cause.PEER_DEAD
        assert failure.message.startswith(f"no answer to {count_max} keepalives, silent for ")
        assert silence >= INTERVAL * (count_max + 1)
        assert connection.is_closed


async def test_a_server_that_answers_stays_connected(server: Server) -> None:
    keepalive = Keepalive(0.02, 9)
    silence_of_the_dead = keepalive.interval * (keepalive.count_max + 1)
    async with watched(server, keepalive) as (connection, _):
        heard = connection.transport.last_received_at
        await until(lambda: connection.transport.last_received_at > heard + 2 * silence_of_the_dead)

        assert not connection.is_closed
        assert connection.rtt_ms is not None


async def test_any_received_data_replaces_a_keepalive(server: Server) -> None:
    async with watched(server, Keepalive(0.5, 1)) as (connection, _):
        await until(lambda: connection.rtt_ms is not None)
        before = connection.keepalive_monitor._state
        (peer,) = server.connections

        def was_looked_at() -> bool:
            peer.send_debug("alive")
            return connection.keepalive_monitor._state != before

        await until(was_looked_at)

        assert connection.keepalive_monitor._state.unanswered == 0


async def test_without_an_interval_only_the_round_trip_is_measured(
    server: Server,
) -> None:
    async with watched(server, Keepalive(0, 3)) as (connection, _):
        await until(lambda: connection.rtt_ms is not None)

        assert connection.keepalive_monitor._timer is None


async def test_the_monitor_stops_with_its_connection(server: Server) -> None:
    async with watched(server, Keepalive(INTERVAL, 3)) as (connection, _):
        heartbeat = connection.keepalive_monitor
        await connection.close()

        assert heartbeat._timer is None
        heartbeat.stop()


async def test_a_peer_that_does_not_answer_probe_now_is_dead_soon(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keepalive, "PROBE_NOW_TIMEOUT", 0.1)
    async with watched(server, Keepalive(300, 3)) as (connection, path):
        await until(lambda: connection.rtt_ms is not None)
        path.freeze()
        connection.probe()
        async with asyncio.timeout(DEADLINE):
            failure = await connection.wait_ended()

        assert failure.cause is Cause.PEER_DEAD
        assert failure.message.startswith("no answer within ")
        assert "of a wake or a change of network, silent for 0 s" in failure.message


async def test_a_peer_that_answers_probe_now_stays_connected(
    server: Server,
) -> None:
    async with watched(server, Keepalive(300, 3)) as (connection, _):
        await until(lambda: connection.rtt_ms is not None)
        heard = connection.transport.last_received_at
        connection.probe()
        connection.probe()
        await until(lambda: connection.transport.last_received_at > heard)
        heartbeat = connection.keepalive_monitor
        heartbeat.stop()
        heartbeat._on_timer()

        assert not connection.is_closed
        assert heartbeat._state.dead_at == inf


class FakeTransport:
    """A transport that is closed, or is not."""

    def __init__(self) -> None:
        self.last_received_at = 0.0
        self.lost: list[Exception] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.closed = False

    def is_closed(self) -> bool:
        return self.closed

    def get_extra_info(self, _: str) -> None:
        return None

    def connection_lost(self, error: Exception) -> None:
        self.lost.append(error)

    async def send_keepalive(self) -> bool:
        raise ConnectionError("gone")

    def start_task(self, coroutine: object) -> None:
        coroutine.close()  # type: ignore[attr-defined]


async def test_a_connection_that_ended_by_itself_is_not_ended_again() -> None:
    fake = FakeTransport()
    transport: ClientTransport = fake  # type: ignore[assignment]
    heartbeat = KeepaliveMonitor(transport, Keepalive(0.01, 0))
    fake.closed = True

    await until(lambda: heartbeat._timer is None)

    assert fake.lost == []


async def test_a_keepalive_that_the_connections_end_interrupts_is_no_error() -> None:
    transport: ClientTransport = FakeTransport()  # type: ignore[assignment]
    heartbeat = KeepaliveMonitor(transport, Keepalive(0, 3))

    await heartbeat._probe(0.0)

    assert heartbeat.rtt_ms is None
