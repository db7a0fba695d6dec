"""The replacement of a connection without interrupting its clients."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.e2e.ports import free_port
from tests.fake_clock import settle, until
from tests.tunnel.fake_ssh import ASSIGNED_PORT, DENIED, HOP, LOST, REFUSED, make_host
from tests.tunnel.harness import (
    make_tunnel,
    runner_harness,
    send_request,
    snapshot_of,
    wait_for_state,
)
from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.core.lifecycle import ConnectionUnhealthy, HostChanged, RestartGracefully, Stop

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tunnel.fake_ssh import FakeConnection
    from tests.tunnel.harness import RunnerHarness
    from tunnelkeeper.core.snapshot import ReplacementSnapshot
    from tunnelkeeper.tunnel.runner import Runner

SSH_PORT = TcpAddress("localhost", 2222)


def replacement_snapshot(runner: Runner) -> ReplacementSnapshot:
    replacement = snapshot_of(runner).replacement
    assert replacement is not None
    return replacement


async def replace_connection(harness: RunnerHarness, runner: Runner) -> FakeConnection:
    """Request a replacement and let it connect."""
    await harness.clock.advance(1)
    runner.send(RestartGracefully())
    connection = (await harness.next_attempt()).succeed()
    await until(lambda: runner.session and runner.session.hop_connections)
    await settle()
    return connection


async def test_existing_clients_keep_the_old_connection_and_new_ones_use_the_replacement() -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, old = await harness.connect(make_tunnel(local=[f"{port}:db:5432"]))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"one")
        assert await reader.readexactly(3) == b"ONE"

        new = await replace_connection(harness, runner)

        assert snapshot_of(runner).state == "up"
        assert replacement_snapshot(runner).state == "draining"
        assert replacement_snapshot(runner).connections == 1
        assert await send_request(port, b"hello") == b"HELLO"
        assert (len(old.opened), len(new.opened)) == (1, 1)
        writer.write(b"two")
        assert await reader.readexactly(3) == b"TWO"

        writer.close()
        await until(lambda: old.is_closed)
        await until(lambda: snapshot_of(runner).replacement is None)
        assert harness.pool.open_connections == [new]
        assert snapshot_of(runner).restarts == 1


async def test_a_connection_is_replaced_at_the_end_of_max_lifetime() -> None:
    async with runner_harness() as harness:
        runner, old = await harness.connect(make_tunnel(max_lifetime=3600))
        since = snapshot_of(runner).since
        await harness.clock.advance(3599)
        assert harness.pool.pending_attempts == []
        await harness.clock.advance(1)

        attempt = await harness.next_attempt()
        assert not old.is_closed
        assert replacement_snapshot(runner).progress is not None
        new = attempt.succeed()

        await until(lambda: snapshot_of(runner).replacement is None)
        assert harness.pool.open_connections == [new]
        assert (snapshot_of(runner).state, snapshot_of(runner).since) == ("up", since)
        assert "replaced: me@relay:22 (aes128-gcm@openssh.com) takes over" in harness.log.getvalue()
        assert "the old connection is closed" in harness.log.getvalue()


async def test_open_channels_are_closed_at_the_drain_timeout() -> None:
    port = free_port()
    async with runner_harness() as harness:
        tunnel = make_tunnel(local=[f"{port}:db:5432"], drain_timeout=60)
        runner, old = await harness.connect(tunnel)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: old.opened)
        await replace_connection(harness, runner)

        await harness.clock.advance(59)
        assert not old.is_closed
        assert replacement_snapshot(runner).closes_at is not None
        await harness.clock.advance(1)

        await until(lambda: old.is_closed)
        assert "drain_timeout: closing the open channels" in harness.log.getvalue()
        writer.close()
        del reader


async def test_a_remote_port_moves_from_the_old_connection_to_the_replacement() -> None:
    async with runner_harness() as harness:
        runner, old = await harness.connect(make_tunnel(remote=["2222:localhost:22"]))

        new = await replace_connection(harness, runner)

        await until(lambda: old.is_closed)
        assert list(new.accept_callbacks) == [SSH_PORT]
        assert harness.pool.listen_requests == [SSH_PORT, SSH_PORT]
        assert "degraded" not in harness.log.getvalue()


async def test_a_replacement_takes_over_only_after_its_server_answers() -> None:
    async with runner_harness() as harness:
        runner, old = await harness.connect(make_tunnel(remote=["2222:localhost:22"]))
        harness.pool.may_answer.clear()

        new = await replace_connection(harness, runner)
        assert list(old.accept_callbacks) == [SSH_PORT]
        assert replacement_snapshot(runner).state == "connecting"

        harness.pool.may_answer.set()
        await until(lambda: list(new.accept_callbacks) == [SSH_PORT])


async def test_a_replacement_whose_server_does_not_answer_fails_and_the_old_one_stays() -> None:
    async with runner_harness() as harness:
        runner, old = await harness.connect(make_tunnel(remote=["2222:localhost:22"]))
        harness.pool.answer_failure = Failure(Cause.TIMEOUT, "no answer", HOP)

        await replace_connection(harness, runner)
        await until(lambda: replacement_snapshot(runner).state == "backoff")

        failure = replacement_snapshot(runner).failure
        assert failure is not None
        assert (failure.cause, failure.message) == ("timeout", "no answer")
        assert list(old.accept_callbacks) == [SSH_PORT]


async def test_the_old_connection_stays_open_until_the_remote_ports_have_moved() -> None:
    async with runner_harness() as harness:
        runner, old = await harness.connect(make_tunnel(remote=["2222:localhost:22"]))
        harness.pool.may_listen.clear()

        await replace_connection(harness, runner)
        await harness.clock.advance(10)
        assert not old.is_closed

        harness.pool.may_listen.set()
        await until(lambda: old.is_closed)


async def test_a_port_assigned_by_the_server_stays_the_same_after_a_replacement() -> None:
    async with runner_harness() as harness:
        runner, _ = await harness.connect(make_tunnel(remote=["0:localhost:22"]))
        chosen = TcpAddress("localhost", ASSIGNED_PORT)

        new = await replace_connection(harness, runner)
        assert list(new.accept_callbacks) == [chosen]
        assert harness.pool.listen_requests[-1] == chosen

        harness.pool.ports_in_use.add(chosen)
        await replace_connection(harness, runner)
        assert harness.pool.listen_requests[-2:] == [chosen, TcpAddress("localhost", 0)]
        harness.pool.ports_in_use.clear()


async def test_a_remote_port_taken_by_another_client_during_the_move_is_retried() -> None:
    async with runner_harness() as harness:
        runner, _ = await harness.connect(make_tunnel(remote=["2222:localhost:22"]))
        harness.pool.ports_in_use.add(SSH_PORT)

        await replace_connection(harness, runner)
        await wait_for_state(runner, "degraded")

        harness.pool.ports_in_use.clear()
        await harness.clock.advance(1)
        await wait_for_state(runner, "up")


@pytest.mark.parametrize("failure", [REFUSED, DENIED], ids=["passing", "for a person"])
async def test_a_connection_that_cannot_be_replaced_stays_in_use(failure: Failure) -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, old = await harness.connect(make_tunnel(local=[f"{port}:db:5432"]))
        runner.send(ConnectionUnhealthy())
        (await harness.next_attempt()).fail(failure)
        await until(lambda: replacement_snapshot(runner).state == "backoff")

        snapshot = replacement_snapshot(runner)
        assert snapshot.failure is not None
        assert (snapshot.failure.cause, snapshot.attempt) == (failure.cause, 1)
        assert snapshot.retry_at is not None
        assert (snapshot_of(runner).state, snapshot_of(runner).failure) == ("up", None)
        assert await send_request(port, b"still here") == b"STILL HERE"
        assert "the connection cannot be replaced, and stays" in harness.log.getvalue()

        await harness.clock.advance(300)
        (await harness.next_attempt()).succeed()
        await until(lambda: old.is_closed)


async def test_a_replacement_retries_at_once_when_the_file_at_fault_changes(
    tmp_path: Path,
) -> None:
    key = tmp_path / "id_ed25519"
    async with runner_harness() as harness:
        harness.host_resolver.chains["db"] = (replace(make_host(), identity_files=(str(key),)),)
        runner, old = await harness.connect()
        runner.send(ConnectionUnhealthy())
        (await harness.next_attempt()).fail(Failure(Cause.AUTH, "no key", files=(str(key),)))
        await until(lambda: replacement_snapshot(runner).state == "backoff")

        key.write_text("here it is")
        await harness.clock.advance(1)

        (await harness.next_attempt()).succeed()
        await until(lambda: old.is_closed)


async def test_a_connection_lost_during_its_replacement_is_succeeded_by_the_replacement() -> None:
    async with runner_harness() as harness:
        runner, old = await harness.connect(make_tunnel(remote=["2222:localhost:22"]))
        runner.send(ConnectionUnhealthy())
        attempt = await harness.next_attempt()

        old.lose(LOST)
        await wait_for_state(runner, "connecting")
        failure = snapshot_of(runner).failure
        assert failure is not None
        assert failure.cause == "lost"
        assert harness.pool.pending_attempts == [attempt]

        new = attempt.succeed()
        await wait_for_state(runner, "up")
        assert list(new.accept_callbacks) == [SSH_PORT]


async def test_a_replacement_that_ends_soon_returns_to_the_old_connection() -> None:
    port = free_port()
    async with runner_harness() as harness:
        tunnel = make_tunnel(local=[f"{port}:db:5432"], remote=["2222:localhost:22"])
        runner, old = await harness.connect(tunnel)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: old.opened)
        new = await replace_connection(harness, runner)

        new.lose(LOST)
        await until(lambda: replacement_snapshot(runner).state == "backoff")
        await until(lambda: list(old.accept_callbacks) == [SSH_PORT])

        assert snapshot_of(runner).state == "up"
        assert await send_request(port, b"hello") == b"HELLO"
        writer.write(b"and I")
        assert await reader.readexactly(5) == b"AND I"
        writer.close()


async def test_exit_on_forward_failure_returns_to_the_old_connection() -> None:
    tunnel = make_tunnel(
        remote=["2222:localhost:22", "2223:localhost:22"], exit_on_forward_failure=True
    )
    second_port = TcpAddress("localhost", 2223)
    async with runner_harness() as harness:
        runner, old = await harness.connect(tunnel)
        harness.pool.ports_in_use.add(second_port)

        new = await replace_connection(harness, runner)

        await until(lambda: new.is_closed)
        await until(lambda: SSH_PORT in old.accept_callbacks)
        harness.pool.ports_in_use.clear()


@pytest.mark.parametrize("phase", ["arriving", "draining"])
@pytest.mark.parametrize("event", [Stop(), HostChanged()])
async def test_a_stop_closes_both_connections(phase: str, event: Stop | HostChanged) -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, old = await harness.connect(make_tunnel(local=[f"{port}:db:5432"]))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: old.opened)
        runner.send(RestartGracefully())
        attempt = await harness.next_attempt()
        if phase == "draining":
            attempt.succeed()
            await until(lambda: replacement_snapshot(runner).state == "draining")

        runner.send(event)

        await until(lambda: harness.pool.open_connections == [])
        await until(lambda: attempt not in harness.pool.pending_attempts)
        writer.close()
        del reader
