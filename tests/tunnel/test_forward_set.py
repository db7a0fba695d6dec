"""Forwards that a reload adds and removes while their tunnel runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.ports import free_port
from tests.fake_clock import settle, until
from tests.tunnel.fake_ssh import REFUSED
from tests.tunnel.harness import (
    is_bound,
    make_tunnel,
    runner_harness,
    send_request,
    snapshot_of,
    wait_for_state,
)
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.core.lifecycle import Stop
from tunnelkeeper.tunnel.runner import Reconfigure, Runner

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import ForwardSnapshot

SSH_PORT = TcpAddress("localhost", 2222)


def only_forward(runner: Runner) -> ForwardSnapshot:
    [forward] = snapshot_of(runner).forwards
    return forward


async def test_forwards_are_added_and_removed_on_the_open_connection() -> None:
    old, kept, new = free_port(), free_port(), free_port()
    before = make_tunnel(local=[f"{old}:db:5432", f"{kept}:db:5432"], remote=["2222:localhost:22"])
    after = make_tunnel(local=[f"{new}:db:5432", f"{kept}:db:5432"], remote=["2223:localhost:22"])
    async with runner_harness() as harness:
        runner, connection = await harness.connect(before)
        staying = runner.forwards[1]

        runner.send(Reconfigure(after))
        await until(lambda: harness.pool.listening == [TcpAddress("localhost", 2223)])
        await settle()

        assert [is_bound(port) for port in (old, kept, new)] == [False, True, True]
        assert runner.forwards[1] is staying
        assert [f.state for f in snapshot_of(runner).forwards] == ["listening"] * 3
        assert harness.pool.open_connections == [connection]
        assert snapshot_of(runner).state == "up"
        assert await send_request(new, b"hello") == b"HELLO"


async def test_a_new_forward_can_use_the_port_of_a_removed_one() -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, _ = await harness.connect(make_tunnel(local=[f"{port}:db:5432"]))

        runner.send(Reconfigure(make_tunnel(local=[f"{port}:other:5432"])))
        await until(lambda: only_forward(runner).connect == "other:5432")
        await until(lambda: only_forward(runner).state == "listening")

        assert snapshot_of(runner).state == "up"


async def test_a_new_forward_that_fails_degrades_the_tunnel() -> None:
    async with runner_harness() as harness:
        harness.pool.ports_in_use.add(SSH_PORT)
        runner, _ = await harness.connect()

        runner.send(Reconfigure(make_tunnel(remote=["2222:localhost:22"])))
        await wait_for_state(runner, "degraded")

        runner.send(Reconfigure(make_tunnel()))
        await wait_for_state(runner, "up")
        await settle()
        assert len(harness.clock.timers) == 1, "only the gate timer of the tunnel"


async def test_a_stopped_tunnel_does_not_bind_new_forwards() -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner = harness.runner()

        runner.send(
            Reconfigure(make_tunnel(local=[f"{port}:db:5432"], remote=["2222:localhost:22"]))
        )
        await until(lambda: len(runner.forwards) == 2)

        assert not is_bound(port)
        assert harness.pool.listen_requests == []


async def test_a_forward_added_while_connecting_listens_with_the_others() -> None:
    async with runner_harness() as harness:
        runner, attempt = await harness.start()
        runner.send(Reconfigure(make_tunnel(remote=["2222:localhost:22"])))
        await settle()
        assert harness.pool.listen_requests == []

        attempt.succeed()
        await wait_for_state(runner, "up")

        assert harness.pool.listening == [SSH_PORT]


@pytest.mark.parametrize("turns", range(6))
async def test_local_and_remote_forwards_added_during_connect_listen_once(
    turns: int,
) -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, attempt = await harness.start()
        runner.send(
            Reconfigure(make_tunnel(local=[f"{port}:db:5432"], remote=["2222:localhost:22"]))
        )
        await settle(turns)
        attempt.succeed()
        await wait_for_state(runner, "up")
        await settle()

        assert harness.pool.listen_requests == [SSH_PORT]
        assert is_bound(port)


async def test_a_reload_during_a_listen_request_sends_no_second_request() -> None:
    async with runner_harness() as harness:
        harness.pool.may_listen.clear()
        runner, attempt = await harness.start(make_tunnel(remote=["2222:localhost:22"]))
        attempt.succeed()
        await until(lambda: harness.pool.listen_requests)

        runner.send(Reconfigure(make_tunnel(remote=["2222:localhost:22"], gate_time=1)))
        await settle()
        harness.pool.may_listen.set()
        await wait_for_state(runner, "up")

        assert harness.pool.listen_requests == [SSH_PORT]


async def test_a_forward_removed_during_its_listen_request_leaves_no_port() -> None:
    async with runner_harness() as harness:
        harness.pool.may_listen.clear()
        runner, attempt = await harness.start(make_tunnel(remote=["2222:localhost:22"]))
        attempt.succeed()
        await until(lambda: harness.pool.listen_requests)

        runner.send(Reconfigure(make_tunnel()))
        await settle()
        harness.pool.may_listen.set()
        await wait_for_state(runner, "up")

        assert harness.pool.listening == []


@pytest.mark.parametrize("turns", range(6))
async def test_a_forward_removed_during_connect_leaves_no_port(turns: int) -> None:
    async with runner_harness() as harness:
        runner, attempt = await harness.start(make_tunnel(remote=["2222:localhost:22"]))
        attempt.succeed()
        await settle(turns)

        runner.send(Reconfigure(make_tunnel()))
        await wait_for_state(runner, "up")
        await settle()

        assert harness.pool.listening == []


async def test_a_tunnel_can_be_stopped_while_the_server_does_not_answer() -> None:
    async with runner_harness() as harness:
        runner, _ = await harness.connect()
        harness.pool.may_listen.clear()
        runner.send(Reconfigure(make_tunnel(remote=["2222:localhost:22"])))
        await until(lambda: harness.pool.listen_requests)

        runner.send(Stop())

        await wait_for_state(runner, "stopped")
        harness.pool.may_listen.set()
        await settle()
        assert only_forward(runner).state == "pending"
        assert only_forward(runner).failure is None


@pytest.mark.parametrize("taken", [True, False])
async def test_an_answer_during_the_close_of_the_connection_is_ignored(
    taken: bool,
) -> None:
    async with runner_harness() as harness:
        runner, _ = await harness.connect()
        harness.pool.may_listen.clear()
        runner.send(Reconfigure(make_tunnel(remote=["2222:localhost:22"])))
        await until(lambda: harness.pool.listen_requests)
        harness.pool.may_close.clear()
        runner.send(Stop())
        await settle()

        harness.pool.ports_in_use |= {SSH_PORT} if taken else set()
        harness.pool.may_listen.set()
        await settle()

        assert only_forward(runner).state == "pending"
        assert only_forward(runner).failure is None
        assert harness.pool.listening == []
        assert harness.clock.timers == []
        harness.pool.may_close.set()
        await wait_for_state(runner, "stopped")


async def test_a_new_hold_timeout_applies_at_once() -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, attempt = await harness.start(make_tunnel(local=[f"{port}:db:5432"]))
        attempt.fail(REFUSED)
        await wait_for_state(runner, "backoff")

        runner.send(Reconfigure(make_tunnel(local=[f"{port}:db:5432"], hold_timeout=0)))
        await settle()

        with pytest.raises(ConnectionResetError):
            await send_request(port, b"hello")
