"""The supervisor's implementation of the control API."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.daemon.harness import supervisor_harness
from tests.fake_clock import settle
from tests.tunnel.fake_ssh import LOST
from tunnelkeeper import __version__
from tunnelkeeper.control.api import NoSuchTunnelError, RequestFailedError
from tunnelkeeper.control.payloads import LogEvent, TunnelEvent
from tunnelkeeper.core.forward_spec import TcpAddress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tunnelkeeper.control.payloads import Event

TUNNELS = """
[tunnels.db]
host = "relay"
remote = "2201:localhost:22"
[tunnels.web]
host = "elsewhere"
remote = "2202:localhost:22"
hold_timeout = 0
"""


async def test_status_shows_the_process_and_its_tunnels_in_the_requested_order(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        status = harness.supervisor.snapshot(None)
        assert [tunnel.name for tunnel in status.tunnels] == ["db", "web"]
        picked = harness.supervisor.snapshot(["web", "db"]).tunnels
        assert [tunnel.name for tunnel in picked] == ["web", "db"]

        process = status.supervisor
        assert (process.version, process.pid) == (__version__, os.getpid())
        assert process.config == str(harness.file)
        assert process.started_at == "2026-11-22T12:00:00Z"
        assert process.memory_bytes > 1_000_000
        assert process.cpu_seconds > 0
        assert process.open_files > 3

        with pytest.raises(NoSuchTunnelError):
            harness.supervisor.snapshot(["db", "dbb"])


async def test_a_subscriber_receives_states_forwards_progress_and_log_records(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        events: list[Event] = []
        unsubscribe = harness.supervisor.subscribe(events.append)
        connection = await harness.start_and_connect("db", "relay")
        connection.lose(LOST)
        await harness.wait_for_state("db", "backoff")

        tunnels = [event.tunnel for event in events if isinstance(event, TunnelEvent)]
        assert {tunnel.name for tunnel in tunnels} == {"db"}
        states = list(dict.fromkeys(tunnel.state for tunnel in tunnels))
        assert states == ["connecting", "up", "backoff"]
        steps = [tunnel.progress.step for tunnel in tunnels if tunnel.progress]
        assert list(dict.fromkeys(steps)) == ["ssh_config", "connect", "forwards"]
        assert "listening" in {tunnel.forwards[0].state for tunnel in tunnels}
        lines = [event.record.message for event in events if isinstance(event, LogEvent)]
        assert lines[0] == "connecting"
        assert lines[-1].startswith("lost: ")

        unsubscribe()
        unsubscribe()
        count = len(events)
        await harness.supervisor.restart(["db"], None)
        await settle()
        assert len(events) == count


async def test_logs_returns_the_records_of_one_tunnel_or_of_all(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        await harness.start_and_connect("db", "relay")
        await harness.start_and_connect("web", "elsewhere")

        assert [r.tunnel for r in harness.supervisor.logs("web", 100)] == ["web", "web"]
        assert [r.tunnel for r in harness.supervisor.logs(None, 3)] == ["db", "web", "web"]
        with pytest.raises(NoSuchTunnelError):
            harness.supervisor.logs("dbb", 1)


async def test_shutdown_only_requests_the_end(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        await harness.start_and_connect("db", "relay")

        harness.supervisor.shutdown()

        assert harness.supervisor.stopping.is_set()
        assert harness.tunnel("db").state == "up"


async def test_abort_connections_ends_tunnels_that_do_not_stop(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        await harness.start_and_connect("db", "relay")
        harness.pool.may_close.clear()
        async with asyncio.TaskGroup() as tasks:
            closing = tasks.create_task(harness.supervisor.close())
            await settle()
            assert not closing.done()

            harness.supervisor.abort_connections()

        assert harness.pool.open_connections == []


# -- streams through a tunnel's connection -------------------------------------------------------


@contextmanager
def socket_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield both ends of a client's connection, the supervisor's first."""
    supervisor_sock, client_sock = socket.socketpair()
    supervisor_sock.setblocking(False)
    client_sock.setblocking(False)
    with supervisor_sock, client_sock:
        yield supervisor_sock, client_sock


async def answer_of(client: socket.socket) -> bytes:
    response = b""
    while data := await asyncio.get_running_loop().sock_recv(client, 65536):
        response += data
    return response


async def test_a_stream_is_relayed_to_its_target_and_back(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        connection = await harness.start_and_connect("db", "relay")
        confirmed: list[bool] = []
        with socket_pair() as (supervisor_sock, client):
            client.send(b" and late")
            client.shutdown(socket.SHUT_WR)
            await harness.supervisor.connect(
                "db", "intranet:80", supervisor_sock, b"early", lambda: confirmed.append(True)
            )

            assert await answer_of(client) == b"EARLY AND LATE"
        assert confirmed == [True]
        assert connection.opened[0][0] == TcpAddress("intranet", 80)
        assert harness.tunnel("db").connections == 0, "it is not counted for a forward"


async def test_a_stream_waits_for_the_connection(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        await harness.supervisor.start(["db"], None)
        attempt = await harness.next_attempt("relay")
        with socket_pair() as (supervisor_sock, client):
            client.shutdown(socket.SHUT_WR)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(
                    harness.supervisor.connect(
                        "db", "intranet:80", supervisor_sock, b"hello", lambda: None
                    )
                )
                await settle()
                attempt.succeed()

            assert await answer_of(client) == b"HELLO"


async def test_an_unreachable_target_is_reported_with_the_reason(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        connection = await harness.start_and_connect("web", "elsewhere")
        harness.pool.unreachable.add(TcpAddress("intranet", 80))
        with socket_pair() as (supervisor_sock, _):
            with pytest.raises(RequestFailedError) as refused:
                await harness.supervisor.connect("web", "intranet:80", supervisor_sock, b"", never)
            assert str(refused.value) == "web: intranet:80: connect failed"

            connection.lose(LOST)
            await harness.wait_for_state("web", "backoff")
            with pytest.raises(RequestFailedError) as away:
                await harness.supervisor.connect("web", "intranet:80", supervisor_sock, b"", never)
            assert str(away.value) == (
                "web: intranet:80: the tunnel's connection is away "
                "(lost: me@relay:22: connection lost)"
            )


async def test_a_stream_through_a_stopped_tunnel_fails_at_once(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        message = "db: intranet:80: the tunnel is stopped"
        with (
            socket_pair() as (supervisor_sock, _),
            pytest.raises(RequestFailedError, match=message),
        ):
            await harness.supervisor.connect("db", "intranet:80", supervisor_sock, b"", never)


async def test_a_stream_needs_a_known_tunnel_and_a_valid_target(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        with socket_pair() as (supervisor_sock, _):
            with pytest.raises(NoSuchTunnelError):
                await harness.supervisor.connect("dbb", "intranet:80", supervisor_sock, b"", never)
            with pytest.raises(
                RequestFailedError, match="expected host:port or a path, got 'intranet'"
            ):
                await harness.supervisor.connect("db", "intranet", supervisor_sock, b"", never)


async def test_a_closed_client_leaves_no_channel_open(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        connection = await harness.start_and_connect("db", "relay")
        with socket_pair() as (supervisor_sock, _):
            supervisor_sock.close()
            with pytest.raises((OSError, ValueError)):
                await harness.supervisor.connect(
                    "db", "intranet:80", supervisor_sock, b"", lambda: None
                )
        await settle()

        [(_, channel)] = connection.opened
        assert not channel.is_open


def never() -> None:
    raise AssertionError("the client was notified of a reached target")
