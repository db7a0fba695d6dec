"""A tunnel's forwards: bound, tried again, and served."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from tests.e2e.ports import free_port
from tests.fake_clock import settled, until
from tests.tunnel.fake_ssh import CHOSEN_PORT, LOST
from tests.tunnel.harness import a_stage, a_tunnel, ask, becomes, is_bound, snapshot_of
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.core.lifecycle import Start, Stop
from tunnelkeeper.tunnel.remote_forward import REMOTE_RETRY_DELAYS

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import ForwardSnapshot
    from tunnelkeeper.tunnel.runner import Runner

SSH_PORT = TcpAddress("localhost", 2222)
DATABASE = TcpAddress("db", 5432)


def the_forward_of(runner: Runner) -> ForwardSnapshot:
    [forward] = snapshot_of(runner).forwards
    return forward


def cause_of(forward: ForwardSnapshot) -> str | None:
    return forward.failure.cause if forward.failure else None


# -- local ports ---------------------------------------------------------------------------------


async def test_a_local_port_is_bound_from_the_start_to_the_stop() -> None:
    port = free_port()
    async with a_stage() as stage:
        runner = stage.runner(a_tunnel(local=[f"{port}:db:5432"]))
        assert not is_bound(port)

        runner.send(Start())
        attempt = await stage.attempt()
        assert is_bound(port)
        connection = attempt.succeeds()
        await becomes(runner, "up")
        connection.ends(LOST)
        await becomes(runner, "backoff")
        assert is_bound(port)

        runner.send(Stop())
        await becomes(runner, "stopped")
        assert not is_bound(port)
        assert the_forward_of(runner).state == "pending"


async def test_a_client_is_served_through_the_connection_and_counted() -> None:
    port = free_port()
    async with a_stage() as stage:
        runner, connection = await stage.connected(a_tunnel(local=[f"{port}:db:5432"]))

        assert await ask(port, b"hello") == b"HELLO"

        assert connection.opened[0][0] == DATABASE
        forward = the_forward_of(runner)
        assert (forward.bytes_in, forward.bytes_out) == (5, 5)
        assert (forward.kind, forward.listen, forward.connect) == (
            "local",
            f"127.0.0.1:{port}",
            "db:5432",
        )
        tunnel = snapshot_of(runner)
        assert (tunnel.bytes_in, tunnel.connections, tunnel.connections_total) == (5, 0, 1)


async def test_a_client_that_comes_in_the_gap_is_held_and_served() -> None:
    port = free_port()
    async with a_stage() as stage, asyncio.TaskGroup() as clients:
        runner, connection = await stage.connected(a_tunnel(local=[f"{port}:db:5432"]))
        connection.ends(LOST)
        await becomes(runner, "backoff")

        client = clients.create_task(ask(port, b"patience"))
        await settled()
        assert not client.done()
        await stage.clock.passes(2)
        (await stage.attempt()).succeeds()

        assert await client == b"PATIENCE"


async def test_a_client_that_is_held_is_turned_away_when_the_tunnel_stops() -> None:
    port = free_port()
    async with a_stage() as stage:
        runner, attempt = await stage.started(a_tunnel(local=[f"{port}:db:5432"]))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await settled()

        runner.send(Stop())

        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        assert not attempt.is_under_way


async def test_without_a_hold_timeout_a_client_in_the_gap_is_closed_at_once() -> None:
    port = free_port()
    async with a_stage() as stage:
        await stage.started(a_tunnel(local=[f"{port}:db:5432"], hold_timeout=0))

        with pytest.raises(ConnectionResetError):
            await ask(port, b"hello")

        assert "the tunnel's connection is away" in stage.log.getvalue()


async def test_a_target_that_refuses_is_logged_once_and_not_for_each_client() -> None:
    port = free_port()
    async with a_stage() as stage:
        stage.far.unreachable.add(DATABASE)
        await stage.connected(a_tunnel(local=[f"{port}:db:5432"]))

        for _ in range(3):
            with pytest.raises(ConnectionResetError):
                await ask(port, b"hello")

        words = f"localhost:{port}:db:5432: db:5432: connect failed"
        assert stage.log.getvalue().count(words) == 1


async def test_a_socks_forward_has_no_target_of_its_own() -> None:
    port = free_port()
    async with a_stage() as stage:
        runner, _ = await stage.connected(a_tunnel(socks=[f"127.0.0.1:{port}"]))

        forward = the_forward_of(runner)

        assert (forward.kind, forward.listen, forward.connect) == (
            "socks",
            f"127.0.0.1:{port}",
            None,
        )


async def test_a_local_port_that_is_taken_is_had_when_it_is_free() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as holder:
        async with a_stage() as stage:
            runner, _ = await stage.connected(a_tunnel(local=[f"{port}:db:5432"]))
            assert snapshot_of(runner).state == "degraded"
            assert cause_of(the_forward_of(runner)) == "local_port_busy"
            assert f"degraded: local_port_busy: cannot listen on localhost:{port}" in (
                stage.log.getvalue()
            )

            await stage.clock.passes(1)
            assert the_forward_of(runner).state == "failed"
            holder.close()
            await stage.clock.passes(1)
            await becomes(runner, "up")

            assert the_forward_of(runner).failure is None
            assert "every forward works again" in stage.log.getvalue()
            assert is_bound(port)


async def test_a_stop_ends_the_tries_at_a_local_port_that_is_taken() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        async with a_stage() as stage:
            runner, _ = await stage.connected(a_tunnel(local=[f"{port}:db:5432"]))

            runner.send(Stop())
            await becomes(runner, "stopped")

            assert the_forward_of(runner).state == "pending"
            assert stage.clock.timers == []


async def test_an_internal_fault_in_serving_one_client_hurts_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    async with a_stage() as stage:
        runner, _ = await stage.connected(a_tunnel(local=[f"{port}:db:5432"]))
        stage.far.fault_of_opening = RuntimeError("nobody foresaw this")
        with pytest.raises(ConnectionError):
            await ask(port, b"unlucky")
        assert "an internal fault; please report it" in caplog.text

        stage.far.fault_of_opening = None

        assert await ask(port, b"hello") == b"HELLO"
        assert snapshot_of(runner).state == "up"


# -- remote ports --------------------------------------------------------------------------------


async def test_a_remote_port_that_is_taken_is_tried_again_on_the_live_connection() -> None:
    async with a_stage() as stage:
        stage.far.taken.add(SSH_PORT)
        runner, connection = await stage.connected(a_tunnel(remote=["2222:localhost:22"]))
        assert snapshot_of(runner).state == "degraded"
        assert cause_of(the_forward_of(runner)) == "remote_port_busy"
        asked = len(stage.far.asked_to_listen)

        for delay in (*REMOTE_RETRY_DELAYS, REMOTE_RETRY_DELAYS[-1]):
            await stage.clock.passes(delay - 0.1)
            assert len(stage.far.asked_to_listen) == asked
            await stage.clock.passes(0.1)
            asked += 1
            assert len(stage.far.asked_to_listen) == asked

        stage.far.taken.clear()
        await stage.clock.passes(REMOTE_RETRY_DELAYS[-1])
        await becomes(runner, "up")
        assert stage.far.live == [connection]
        assert the_forward_of(runner).state == "listening"
        assert stage.far.listening == [SSH_PORT]


async def test_the_tries_end_with_the_connection() -> None:
    async with a_stage() as stage:
        stage.far.taken.add(SSH_PORT)
        runner, connection = await stage.connected(a_tunnel(remote=["2222:localhost:22"]))

        connection.ends(LOST)
        await becomes(runner, "backoff")

        assert the_forward_of(runner).state == "pending"
        assert cause_of(the_forward_of(runner)) is None
        assert len(stage.clock.timers) == 1, "the wait of the tunnel itself"


async def test_a_try_that_finds_the_connection_gone_is_the_last() -> None:
    async with a_stage() as stage:
        stage.far.taken.add(SSH_PORT)
        runner, connection = await stage.connected(a_tunnel(remote=["2222:localhost:22"]))
        stage.far.may_close.clear()  # the end takes a while to be noticed here
        asked = len(stage.far.asked_to_listen)

        connection.ends(LOST)
        for timer in list(stage.clock.timers):
            timer.comes()
        await settled()
        stage.far.may_close.set()
        await becomes(runner, "backoff")

        assert len(stage.far.asked_to_listen) == asked


async def test_with_exit_on_forward_failure_there_is_no_half_a_tunnel() -> None:
    async with a_stage() as stage:
        stage.far.taken.add(SSH_PORT)
        runner, attempt = await stage.started(
            a_tunnel(remote=["2222:localhost:22"], exit_on_forward_failure=True)
        )
        attempt.succeeds()
        await becomes(runner, "backoff")

        failure = snapshot_of(runner).failure
        assert failure is not None
        assert failure.cause == "remote_port_busy"
        assert stage.far.live == []
        assert stage.ups == []

        stage.far.taken.clear()
        await stage.clock.passes(2)
        (await stage.attempt()).succeeds()
        await becomes(runner, "up")


async def test_a_connection_that_ends_before_its_forwards_listen_was_never_up() -> None:
    async with a_stage() as stage:
        stage.far.may_listen.clear()
        runner, attempt = await stage.started(
            a_tunnel(remote=["2222:localhost:22"], exit_on_forward_failure=True)
        )
        connection = attempt.succeeds()
        await until(lambda: stage.far.asked_to_listen)
        progress = snapshot_of(runner).progress
        assert progress is not None
        assert progress.step == "forwards"

        connection.ends(LOST)
        stage.far.may_listen.set()
        await becomes(runner, "backoff")

        failure = snapshot_of(runner).failure
        assert failure is not None
        assert failure.cause == "lost"
        assert stage.ups == []
        assert the_forward_of(runner).state == "pending"


async def test_a_port_that_the_server_chose_is_shown_while_it_listens() -> None:
    async with a_stage() as stage:
        runner, connection = await stage.connected(a_tunnel(remote=["0:localhost:22"]))
        assert the_forward_of(runner).listen == f"localhost:{CHOSEN_PORT}"

        connection.ends(LOST)
        await becomes(runner, "backoff")

        assert the_forward_of(runner).listen == "localhost:0"


async def test_a_remote_target_that_refuses_is_logged() -> None:
    nobody = free_port()
    async with a_stage() as stage:
        _, connection = await stage.connected(a_tunnel(remote=[f"2222:127.0.0.1:{nobody}"]))

        with pytest.raises(Exception, match=f"127.0.0.1:{nobody}"):
            await connection.accepts[SSH_PORT]()

        assert f"warning db: localhost:2222:127.0.0.1:{nobody}" in stage.log.getvalue()


async def test_an_internal_fault_in_asking_for_a_port_ends_the_session_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with a_stage() as stage:
        stage.far.fault_of_listening = RuntimeError("nobody foresaw this")
        runner, attempt = await stage.started(a_tunnel(remote=["2222:localhost:22"]))
        attempt.succeeds()
        await becomes(runner, "backoff")
        assert "tunnel db: the session failed" in caplog.text

        stage.far.fault_of_listening = None
        await stage.clock.passes(2)
        (await stage.attempt()).succeeds()
        await becomes(runner, "up")
