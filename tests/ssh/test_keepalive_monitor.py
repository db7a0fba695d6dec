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
async def monitored_connection(
    server: Server, keepalive: Keepalive
) -> AsyncIterator[tuple[Connection, Link]]:
    """Run a monitored connection, and the link it uses."""
    async with link(server.port) as server_link:
        server.port = server_link.port
        server.add_known_host_key(server.host_key)
        async with connected(server.host(keepalive=keepalive)) as connection:
            yield connection, server_link


@pytest.mark.parametrize("count_max", [1, 3])
async def test_a_server_that_stops_answering_is_dead_after_the_last_unanswered_probe(
    server: Server, count_max: int
) -> None:
    async with monitored_connection(server, Keepalive(INTERVAL, count_max)) as (
        connection,
        server_link,
    ):
        await until(lambda: connection.rtt_ms is not None)
        server_link.freeze()
        last_received_at = connection.transport.last_received_at
        async with asyncio.timeout(DEADLINE):
            failure = await connection.wait_ended()

        silence = asyncio.get_running_loop().time() - last_received_at
        assert failure.cause is Cause.PEER_DEAD
        assert failure.message.startswith(f"no answer to {count_max} keepalives, silent for ")
        assert silence >= INTERVAL * (count_max + 1)
        assert connection.is_closed


async def test_a_server_that_answers_stays_connected(server: Server) -> None:
    keepalive = Keepalive(0.02, 9)
    dead_after = keepalive.interval * (keepalive.count_max + 1)
    async with monitored_connection(server, keepalive) as (connection, _):
        last_received_at = connection.transport.last_received_at
        await until(
            lambda: connection.transport.last_received_at > last_received_at + 2 * dead_after
        )

        assert not connection.is_closed
        assert connection.rtt_ms is not None


async def test_any_received_data_replaces_a_keepalive(server: Server) -> None:
    async with monitored_connection(server, Keepalive(0.5, 1)) as (connection, _):
        await until(lambda: connection.rtt_ms is not None)
        before = connection.keepalive_monitor._state
        (peer,) = server.connections

        def was_checked() -> bool:
            peer.send_debug("alive")
            return connection.keepalive_monitor._state != before

        await until(was_checked)

        assert connection.keepalive_monitor._state.unanswered == 0


async def test_without_an_interval_only_the_round_trip_is_measured(
    server: Server,
) -> None:
    async with monitored_connection(server, Keepalive(0, 3)) as (connection, _):
        await until(lambda: connection.rtt_ms is not None)

        assert connection.keepalive_monitor._timer is None


async def test_the_monitor_stops_with_its_connection(server: Server) -> None:
    async with monitored_connection(server, Keepalive(INTERVAL, 3)) as (connection, _):
        monitor = connection.keepalive_monitor
        await connection.close()

        assert monitor._timer is None
        monitor.stop()


async def test_a_peer_that_does_not_answer_probe_now_is_dead_soon(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keepalive, "PROBE_NOW_TIMEOUT", 0.1)
    async with monitored_connection(server, Keepalive(300, 3)) as (connection, server_link):
        await until(lambda: connection.rtt_ms is not None)
        server_link.freeze()
        connection.probe()
        async with asyncio.timeout(DEADLINE):
            failure = await connection.wait_ended()

        assert failure.cause is Cause.PEER_DEAD
        assert failure.message.startswith("no answer within ")
        assert "of a wake or a change of network, silent for 0 s" in failure.message


async def test_a_peer_that_answers_probe_now_stays_connected(
    server: Server,
) -> None:
    async with monitored_connection(server, Keepalive(300, 3)) as (connection, _):
        await until(lambda: connection.rtt_ms is not None)
        last_received_at = connection.transport.last_received_at
        connection.probe()
        connection.probe()
        await until(lambda: connection.transport.last_received_at > last_received_at)
        monitor = connection.keepalive_monitor
        monitor.stop()
        monitor._on_timer()

        assert not connection.is_closed
        assert monitor._state.dead_at == inf


class FakeTransport:
    """A transport that a test can mark as closed."""

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

    async def send_keepalive(self, *, is_repeated: bool = False) -> bool:
        raise ConnectionError("gone")

    def start_task(self, coroutine: object) -> None:
        coroutine.close()  # type: ignore[attr-defined]


async def test_a_connection_that_ended_by_itself_is_not_ended_again() -> None:
    fake = FakeTransport()
    transport: ClientTransport = fake  # type: ignore[assignment]
    monitor = KeepaliveMonitor(transport, Keepalive(0.01, 0))
    fake.closed = True

    await until(lambda: monitor._timer is None)

    assert fake.lost == []


async def test_a_keepalive_that_the_connections_end_interrupts_is_no_error() -> None:
    transport: ClientTransport = FakeTransport()  # type: ignore[assignment]
    monitor = KeepaliveMonitor(transport, Keepalive(0, 3))

    await monitor._probe(0.0, is_repeated=False)

    assert monitor.rtt_ms is None
