"""Forwards that come and go while their tunnel runs, as a reload has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.ports import free_port
from tests.fake_clock import settled, until
from tests.tunnel.fake_ssh import REFUSED
from tests.tunnel.harness import a_stage, a_tunnel, ask, becomes, is_bound, snapshot_of
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.core.lifecycle import Stop
from tunnelkeeper.tunnel.runner import Reconfigure, Runner

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import ForwardSnapshot

SSH_PORT = TcpAddress("localhost", 2222)


def the_forward_of(runner: Runner) -> ForwardSnapshot:
    [forward] = snapshot_of(runner).forwards
    return forward


async def test_forwards_come_and_go_on_the_live_connection() -> None:
    old, kept, new = free_port(), free_port(), free_port()
    before = a_tunnel(local=[f"{old}:db:5432", f"{kept}:db:5432"], remote=["2222:localhost:22"])
    after = a_tunnel(local=[f"{new}:db:5432", f"{kept}:db:5432"], remote=["2223:localhost:22"])
    async with a_stage() as stage:
        runner, connection = await stage.connected(before)
        staying = runner.forwards[1]

        runner.send(Reconfigure(after))
        await until(lambda: stage.far.listening == [TcpAddress("localhost", 2223)])
        await settled()

        assert [is_bound(port) for port in (old, kept, new)] == [False, True, True]
        assert runner.forwards[1] is staying
        assert [f.state for f in snapshot_of(runner).forwards] == ["listening"] * 3
        assert stage.far.live == [connection]
        assert snapshot_of(runner).state == "up"
        assert await ask(new, b"hello") == b"HELLO"


async def test_a_new_forward_may_take_the_port_of_one_that_goes() -> None:
    port = free_port()
    async with a_stage() as stage:
        runner, _ = await stage.connected(a_tunnel(local=[f"{port}:db:5432"]))

        runner.send(Reconfigure(a_tunnel(local=[f"{port}:other:5432"])))
        await until(lambda: the_forward_of(runner).connect == "other:5432")
        await until(lambda: the_forward_of(runner).state == "listening")

        assert snapshot_of(runner).state == "up"


async def test_a_new_forward_that_fails_degrades_the_tunnel() -> None:
    async with a_stage() as stage:
        stage.far.taken.add(SSH_PORT)
        runner, _ = await stage.connected()

        runner.send(Reconfigure(a_tunnel(remote=["2222:localhost:22"])))
        await becomes(runner, "degraded")

        runner.send(Reconfigure(a_tunnel()))
        await becomes(runner, "up")
        await settled()
        assert len(stage.clock.timers) == 1, "the gate time of the tunnel itself"


async def test_a_stopped_tunnel_binds_nothing_that_it_is_given() -> None:
    port = free_port()
    async with a_stage() as stage:
        runner = stage.runner()

        runner.send(Reconfigure(a_tunnel(local=[f"{port}:db:5432"], remote=["2222:localhost:22"])))
        await until(lambda: len(runner.forwards) == 2)

        assert not is_bound(port)
        assert stage.far.asked_to_listen == []


async def test_a_forward_that_comes_while_the_tunnel_connects_listens_with_the_others() -> None:
    async with a_stage() as stage:
        runner, attempt = await stage.started()
        runner.send(Reconfigure(a_tunnel(remote=["2222:localhost:22"])))
        await settled()
        assert stage.far.asked_to_listen == []

        attempt.succeeds()
        await becomes(runner, "up")

        assert stage.far.listening == [SSH_PORT]


@pytest.mark.parametrize("turns", range(6))
async def test_forwards_of_both_sides_that_come_while_the_tunnel_comes_up_are_made_once(
    turns: int,
) -> None:
    port = free_port()
    async with a_stage() as stage:
        runner, attempt = await stage.started()
        runner.send(Reconfigure(a_tunnel(local=[f"{port}:db:5432"], remote=["2222:localhost:22"])))
        await settled(turns)
        attempt.succeeds()
        await becomes(runner, "up")
        await settled()

        assert stage.far.asked_to_listen == [SSH_PORT]
        assert is_bound(port)


async def test_a_change_while_the_server_is_asked_for_a_port_asks_for_it_only_once() -> None:
    async with a_stage() as stage:
        stage.far.may_listen.clear()
        runner, attempt = await stage.started(a_tunnel(remote=["2222:localhost:22"]))
        attempt.succeeds()
        await until(lambda: stage.far.asked_to_listen)

        runner.send(Reconfigure(a_tunnel(remote=["2222:localhost:22"], gate_time=1)))
        await settled()
        stage.far.may_listen.set()
        await becomes(runner, "up")

        assert stage.far.asked_to_listen == [SSH_PORT]


async def test_a_forward_that_goes_while_the_server_is_asked_for_its_port_leaves_none() -> None:
    async with a_stage() as stage:
        stage.far.may_listen.clear()
        runner, attempt = await stage.started(a_tunnel(remote=["2222:localhost:22"]))
        attempt.succeeds()
        await until(lambda: stage.far.asked_to_listen)

        runner.send(Reconfigure(a_tunnel()))
        await settled()
        stage.far.may_listen.set()
        await becomes(runner, "up")

        assert stage.far.listening == []


@pytest.mark.parametrize("turns", range(6))
async def test_a_forward_that_goes_while_the_tunnel_comes_up_leaves_no_port(turns: int) -> None:
    async with a_stage() as stage:
        runner, attempt = await stage.started(a_tunnel(remote=["2222:localhost:22"]))
        attempt.succeeds()
        await settled(turns)

        runner.send(Reconfigure(a_tunnel()))
        await becomes(runner, "up")
        await settled()

        assert stage.far.listening == []


async def test_a_server_that_does_not_answer_keeps_no_tunnel_from_being_stopped() -> None:
    async with a_stage() as stage:
        runner, _ = await stage.connected()
        stage.far.may_listen.clear()
        runner.send(Reconfigure(a_tunnel(remote=["2222:localhost:22"])))
        await until(lambda: stage.far.asked_to_listen)

        runner.send(Stop())

        await becomes(runner, "stopped")
        stage.far.may_listen.set()
        await settled()
        assert the_forward_of(runner).state == "pending"
        assert the_forward_of(runner).failure is None


@pytest.mark.parametrize("taken", [True, False])
async def test_an_answer_that_comes_while_the_connection_is_closed_changes_nothing(
    taken: bool,
) -> None:
    async with a_stage() as stage:
        runner, _ = await stage.connected()
        stage.far.may_listen.clear()
        runner.send(Reconfigure(a_tunnel(remote=["2222:localhost:22"])))
        await until(lambda: stage.far.asked_to_listen)
        stage.far.may_close.clear()
        runner.send(Stop())
        await settled()

        stage.far.taken |= {SSH_PORT} if taken else set()
        stage.far.may_listen.set()
        await settled()

        assert the_forward_of(runner).state == "pending"
        assert the_forward_of(runner).failure is None
        assert stage.far.listening == []
        assert stage.clock.timers == []
        stage.far.may_close.set()
        await becomes(runner, "stopped")


async def test_the_patience_with_clients_changes_at_once() -> None:
    port = free_port()
    async with a_stage() as stage:
        runner, attempt = await stage.started(a_tunnel(local=[f"{port}:db:5432"]))
        attempt.fails(REFUSED)
        await becomes(runner, "backoff")

        runner.send(Reconfigure(a_tunnel(local=[f"{port}:db:5432"], hold_timeout=0)))
        await settled()

        with pytest.raises(ConnectionResetError):
            await ask(port, b"hello")
