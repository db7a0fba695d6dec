"""Forwards of a tunnel: binding, retries and clients."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from tests.e2e.ports import free_port
from tests.fake_clock import settle, until
from tests.tunnel.fake_ssh import ASSIGNED_PORT, LOST
from tests.tunnel.harness import (
    is_bound,
    make_tunnel,
    runner_harness,
    send_request,
    snapshot_of,
    wait_for_state,
)
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.core.lifecycle import Start, Stop
from tunnelkeeper.tunnel.remote_forward import REMOTE_RETRY_DELAYS

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import ForwardSnapshot
    from tunnelkeeper.tunnel.runner import Runner

SSH_PORT = TcpAddress("localhost", 2222)
DATABASE = TcpAddress("db", 5432)


def only_forward(runner: Runner) -> ForwardSnapshot:
    [forward] = snapshot_of(runner).forwards
    return forward


def cause_of(forward: ForwardSnapshot) -> str | None:
    return forward.failure.cause if forward.failure else None


# -- local ports ---------------------------------------------------------------------------------


async def test_a_local_port_is_bound_from_start_to_stop() -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner = harness.runner(make_tunnel(local=[f"{port}:db:5432"]))
        assert not is_bound(port)

        runner.send(Start())
        attempt = await harness.next_attempt()
        assert is_bound(port)
        connection = attempt.succeed()
        await wait_for_state(runner, "up")
        connection.lose(LOST)
        await wait_for_state(runner, "backoff")
        assert is_bound(port)

        runner.send(Stop())
        await wait_for_state(runner, "stopped")
        assert not is_bound(port)
        assert only_forward(runner).state == "pending"


async def test_a_client_is_served_through_the_connection_and_counted() -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, connection = await harness.connect(make_tunnel(local=[f"{port}:db:5432"]))

        assert await send_request(port, b"hello") == b"HELLO"

        assert connection.opened[0][0] == DATABASE
        forward = only_forward(runner)
        assert (forward.bytes_in, forward.bytes_out) == (5, 5)
        assert (forward.kind, forward.listen, forward.connect) == (
            "local",
            f"127.0.0.1:{port}",
            "db:5432",
        )
        tunnel = snapshot_of(runner)
        assert (tunnel.bytes_in, tunnel.connections, tunnel.connections_total) == (5, 0, 1)


async def test_a_client_that_connects_during_an_outage_is_held_and_served() -> None:
    port = free_port()
    async with runner_harness() as harness, asyncio.TaskGroup() as clients:
        runner, connection = await harness.connect(make_tunnel(local=[f"{port}:db:5432"]))
        connection.lose(LOST)
        await wait_for_state(runner, "backoff")

        client = clients.create_task(send_request(port, b"patience"))
        await settle()
        assert not client.done()
        await harness.clock.advance(2)
        (await harness.next_attempt()).succeed()

        assert await client == b"PATIENCE"


async def test_a_held_client_is_reset_when_the_tunnel_stops() -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, attempt = await harness.start(make_tunnel(local=[f"{port}:db:5432"]))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await settle()

        runner.send(Stop())

        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        assert not attempt.is_pending


async def test_without_a_hold_timeout_a_client_during_an_outage_is_closed_at_once() -> None:
    port = free_port()
    async with runner_harness() as harness:
        await harness.start(make_tunnel(local=[f"{port}:db:5432"], hold_timeout=0))

        with pytest.raises(ConnectionResetError):
            await send_request(port, b"hello")

        assert "the tunnel's connection is away" in harness.log.getvalue()


async def test_a_refusing_target_is_logged_once_and_not_for_each_client() -> None:
    port = free_port()
    async with runner_harness() as harness:
        harness.pool.unreachable.add(DATABASE)
        await harness.connect(make_tunnel(local=[f"{port}:db:5432"]))

        for _ in range(3):
            with pytest.raises(ConnectionResetError):
                await send_request(port, b"hello")

        message = f"localhost:{port}:db:5432: db:5432: connect failed"
        assert harness.log.getvalue().count(message) == 1


async def test_a_socks_forward_has_no_target_of_its_own() -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, _ = await harness.connect(make_tunnel(socks=[f"127.0.0.1:{port}"]))

        forward = only_forward(runner)

        assert (forward.kind, forward.listen, forward.connect) == (
            "socks",
            f"127.0.0.1:{port}",
            None,
        )


async def test_a_local_port_in_use_is_bound_once_it_is_free() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as holder:
        async with runner_harness() as harness:
            runner, _ = await harness.connect(make_tunnel(local=[f"{port}:db:5432"]))
            assert snapshot_of(runner).state == "degraded"
            assert cause_of(only_forward(runner)) == "local_port_busy"
            assert f"degraded: local_port_busy: cannot listen on localhost:{port}" in (
                harness.log.getvalue()
            )

            await harness.clock.advance(1)
            assert only_forward(runner).state == "failed"
            holder.close()
            await harness.clock.advance(1)
            await wait_for_state(runner, "up")

            assert only_forward(runner).failure is None
            assert "every forward works again" in harness.log.getvalue()
            assert is_bound(port)


async def test_a_stop_ends_the_retries_of_a_local_port_in_use() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        async with runner_harness() as harness:
            runner, _ = await harness.connect(make_tunnel(local=[f"{port}:db:5432"]))

            runner.send(Stop())
            await wait_for_state(runner, "stopped")

            assert only_forward(runner).state == "pending"
            assert harness.clock.timers == []


async def test_an_internal_error_with_one_client_does_not_affect_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, _ = await harness.connect(make_tunnel(local=[f"{port}:db:5432"]))
        harness.pool.open_error = RuntimeError("unexpected error")
        with pytest.raises(ConnectionError):
            await send_request(port, b"unlucky")
        assert "an internal fault; please report it" in caplog.text

        harness.pool.open_error = None

        assert await send_request(port, b"hello") == b"HELLO"
        assert snapshot_of(runner).state == "up"


# -- remote ports --------------------------------------------------------------------------------


async def test_a_remote_port_in_use_is_retried_on_the_same_connection() -> None:
    async with runner_harness() as harness:
        harness.pool.ports_in_use.add(SSH_PORT)
        runner, connection = await harness.connect(make_tunnel(remote=["2222:localhost:22"]))
        assert snapshot_of(runner).state == "degraded"
        assert cause_of(only_forward(runner)) == "remote_port_busy"
        requests = len(harness.pool.listen_requests)

        for delay in (*REMOTE_RETRY_DELAYS, REMOTE_RETRY_DELAYS[-1]):
            await harness.clock.advance(delay - 0.1)
            assert len(harness.pool.listen_requests) == requests
            await harness.clock.advance(0.1)
            requests += 1
            assert len(harness.pool.listen_requests) == requests

        harness.pool.ports_in_use.clear()
        await harness.clock.advance(REMOTE_RETRY_DELAYS[-1])
        await wait_for_state(runner, "up")
        assert harness.pool.open_connections == [connection]
        assert only_forward(runner).state == "listening"
        assert harness.pool.listening == [SSH_PORT]


async def test_retries_of_a_remote_port_end_with_the_connection() -> None:
    async with runner_harness() as harness:
        harness.pool.ports_in_use.add(SSH_PORT)
        runner, connection = await harness.connect(make_tunnel(remote=["2222:localhost:22"]))

        connection.lose(LOST)
        await wait_for_state(runner, "backoff")

        assert only_forward(runner).state == "pending"
        assert cause_of(only_forward(runner)) is None
        assert len(harness.clock.timers) == 1, "only the retry timer of the tunnel"


async def test_a_retry_on_a_closed_connection_is_the_last() -> None:
    async with runner_harness() as harness:
        harness.pool.ports_in_use.add(SSH_PORT)
        runner, connection = await harness.connect(make_tunnel(remote=["2222:localhost:22"]))
        harness.pool.may_close.clear()  # the tunnel notices the end only later
        requests = len(harness.pool.listen_requests)

        connection.lose(LOST)
        for timer in list(harness.clock.timers):
            timer.fire()
        await settle()
        harness.pool.may_close.set()
        await wait_for_state(runner, "backoff")

        assert len(harness.pool.listen_requests) == requests


async def test_exit_on_forward_failure_closes_the_connection() -> None:
    async with runner_harness() as harness:
        harness.pool.ports_in_use.add(SSH_PORT)
        runner, attempt = await harness.start(
            make_tunnel(remote=["2222:localhost:22"], exit_on_forward_failure=True)
        )
        attempt.succeed()
        await wait_for_state(runner, "backoff")

        failure = snapshot_of(runner).failure
        assert failure is not None
        assert failure.cause == "remote_port_busy"
        assert harness.pool.open_connections == []
        assert harness.up_calls == []

        harness.pool.ports_in_use.clear()
        await harness.clock.advance(2)
        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")


async def test_keepalives_begin_after_the_server_has_answered_the_forwards() -> None:
    async with runner_harness() as harness:
        harness.pool.may_listen.clear()
        _, attempt = await harness.start(make_tunnel(remote=["2222:localhost:22"]))
        connection = attempt.succeed()
        await until(lambda: harness.pool.listen_requests)
        assert not connection.is_measured

        harness.pool.may_listen.set()
        await until(lambda: connection.is_measured)


async def test_a_connection_that_ends_before_its_forwards_listen_never_counts_as_up() -> None:
    async with runner_harness() as harness:
        harness.pool.may_listen.clear()
        runner, attempt = await harness.start(
            make_tunnel(remote=["2222:localhost:22"], exit_on_forward_failure=True)
        )
        connection = attempt.succeed()
        await until(lambda: harness.pool.listen_requests)
        progress = snapshot_of(runner).progress
        assert progress is not None
        assert progress.step == "forwards"

        connection.lose(LOST)
        harness.pool.may_listen.set()
        await wait_for_state(runner, "backoff")

        failure = snapshot_of(runner).failure
        assert failure is not None
        assert failure.cause == "lost"
        assert harness.up_calls == []
        assert only_forward(runner).state == "pending"


async def test_a_port_assigned_by_the_server_is_shown_while_it_listens() -> None:
    async with runner_harness() as harness:
        runner, connection = await harness.connect(make_tunnel(remote=["0:localhost:22"]))
        assert only_forward(runner).listen == f"localhost:{ASSIGNED_PORT}"

        connection.lose(LOST)
        await wait_for_state(runner, "backoff")

        assert only_forward(runner).listen == "localhost:0"


async def test_a_refusing_remote_target_is_logged() -> None:
    unused = free_port()
    async with runner_harness() as harness:
        _, connection = await harness.connect(make_tunnel(remote=[f"2222:127.0.0.1:{unused}"]))

        with pytest.raises(Exception, match=f"127.0.0.1:{unused}"):
            await connection.accept_callbacks[SSH_PORT]()

        assert f"warning db: localhost:2222:127.0.0.1:{unused}" in harness.log.getvalue()


async def test_an_internal_error_during_a_listen_request_ends_only_the_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with runner_harness() as harness:
        harness.pool.listen_error = RuntimeError("unexpected error")
        runner, attempt = await harness.start(make_tunnel(remote=["2222:localhost:22"]))
        attempt.succeed()
        await wait_for_state(runner, "backoff")
        assert "tunnel db: the session failed" in caplog.text

        harness.pool.listen_error = None
        await harness.clock.advance(2)
        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")
