"""The hop that a failure names when one of two hops dies."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.ssh.links import Link, link
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, serve
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core import keepalive
from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.ssh.connection_pool import ConnectionPool, HopConnections
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.ssh.keepalive_monitor import KeepaliveMonitor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.ssh.connection_tracker import ConnectionTracker

OFTEN, RARELY, NEVER = Keepalive(0.2, 1), Keepalive(300, 3), Keepalive(0, 3)


@dataclass
class TwoHops:
    """Connections to a jump host and a final host, and the links to both."""

    connections: HopConnections
    tracker: ConnectionTracker
    to_jump: Link
    to_final: Link

    async def blamed_hop(self) -> str:
        """Return the hop that the failure of the final connection names."""
        async with asyncio.timeout(DEADLINE):
            failure = await self.connections.connection.wait_ended()
        assert failure.cause is Cause.PEER_DEAD, failure
        return failure.hop


def host_behind_link(link_to_server: Link, server: Server, keepalive_config: Keepalive) -> Host:
    """Return the host of a server that is reached through a link."""
    server.port = link_to_server.port
    server.add_known_host_key(server.host_key)
    return server.host(keepalive=keepalive_config)


@asynccontextmanager
async def two_hops(
    folder: Path, jump_keepalive: Keepalive, keepalive_config: Keepalive
) -> AsyncIterator[TwoHops]:
    for name in ("jump", "final"):
        (folder / name).mkdir()
    context = SshContext()
    async with (
        serve(folder / "jump") as jump,
        serve(folder / "final") as final,
        link(jump.port) as to_jump,
        link(final.port) as to_final,
        ConnectionPool(context) as pool,
    ):
        host_chain = (
            host_behind_link(to_jump, jump, jump_keepalive),
            host_behind_link(to_final, final, keepalive_config),
        )
        hop_connections = await pool.connect(host_chain, ProgressRecorder())
        hop_connections.connection.measure_round_trip(ProgressRecorder().info)
        await until(lambda: all(hop.rtt_ms is not None for hop in hop_connections.hops))
        yield TwoHops(hop_connections, context.connection_tracker, to_jump, to_final)
        to_jump.thaw()
        to_final.thaw()
        await hop_connections.close()


@pytest.fixture(autouse=True)
def short_probe_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepalive, "PROBE_NOW_TIMEOUT", 0.5)


@pytest.mark.parametrize("jump_keepalive", [OFTEN, RARELY, NEVER], ids=["often", "rarely", "never"])
async def test_a_dead_jump_host_is_blamed_for_the_silence_of_the_host_behind_it(
    tmp_path: Path, jump_keepalive: Keepalive
) -> None:
    async with two_hops(tmp_path, jump_keepalive, OFTEN) as hops:
        hops.to_jump.freeze()

        assert await hops.blamed_hop() == str(hops.connections.host_chain[0])


@pytest.mark.parametrize("jump_keepalive", [OFTEN, RARELY, NEVER], ids=["often", "rarely", "never"])
async def test_a_live_jump_host_is_not_blamed_for_the_host_behind_it(
    tmp_path: Path, jump_keepalive: Keepalive
) -> None:
    async with two_hops(tmp_path, jump_keepalive, OFTEN) as hops:
        hops.to_final.freeze()

        assert await hops.blamed_hop() == str(hops.connections.host_chain[1])
        assert not hops.connections.hops[0].is_closed


@pytest.mark.parametrize("dead", [0, 1], ids=["jump host", "final host"])
async def test_the_dead_hop_is_blamed_after_a_network_change(tmp_path: Path, dead: int) -> None:
    async with two_hops(tmp_path, RARELY, RARELY) as hops:
        (hops.to_jump, hops.to_final)[dead].freeze()
        hops.tracker.network_changed(None)

        assert await hops.blamed_hop() == str(hops.connections.host_chain[dead])


class ProbedJumpMonitor(KeepaliveMonitor):
    """A jump host's monitor: data arrives as soon as it is probed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def wait_for_answer(self) -> None:
        self.connection.transport.last_received_at = time.monotonic()


async def test_a_host_that_answers_at_the_last_moment_stays_connected(tmp_path: Path) -> None:
    async with two_hops(tmp_path, NEVER, OFTEN) as hops:
        connection = hops.connections.connection
        monitor = connection.keepalive_monitor
        monitor.stop()
        monitor._jump_monitor = ProbedJumpMonitor(connection)
        await monitor._close_if_dead("dead")

        assert not connection.is_closed
        assert monitor._timer is not None
