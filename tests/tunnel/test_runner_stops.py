"""The end of a tunnel: stopped, restarted or retired, in whatever phase it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.e2e.ports import free_port
from tests.fake_clock import settled, until
from tests.tunnel.fake_ssh import DENIED, REFUSED
from tests.tunnel.harness import a_stage, a_tunnel, becomes, is_bound, snapshot_of
from tunnelkeeper.core.lifecycle import Restart, Start, Stop

if TYPE_CHECKING:
    from tests.tunnel.harness import Stage
    from tunnelkeeper.tunnel.runner import Runner

PHASES = ["looking up", "connecting", "listening", "up", "closing", "backoff", "blocked"]


async def bring_to(phase: str, stage: Stage, port: int) -> Runner:
    tunnel = a_tunnel(local=[f"{port}:db:5432"], remote=["2222:localhost:22"])
    runner = stage.runner(tunnel)
    if phase == "looking up":
        stage.finder.may_look.clear()
    if phase == "listening":
        stage.far.may_listen.clear()
    runner.send(Start())
    await until(lambda: snapshot_of(runner).progress)
    if phase == "looking up":
        return runner
    attempt = await stage.attempt()
    match phase:
        case "listening":
            attempt.succeeds()
            await until(lambda: stage.far.asked_to_listen)
        case "up":
            attempt.succeeds()
            await becomes(runner, "up")
        case "closing":
            attempt.succeeds()
            await becomes(runner, "up")
            stage.far.may_close.clear()
            runner.send(Restart())
            await settled()
            stage.far.may_close.set()
        case "backoff":
            attempt.fails(REFUSED)
            await becomes(runner, "backoff")
        case "blocked":
            attempt.fails(DENIED)
            await becomes(runner, "blocked")
    return runner


@pytest.mark.parametrize("phase", PHASES)
async def test_a_stop_leaves_nothing_behind_in_any_phase(phase: str) -> None:
    port = free_port()
    before = asyncio.all_tasks()
    async with a_stage() as stage:
        runner = await bring_to(phase, stage, port)
        assert is_bound(port)

        runner.send(Stop())
        await runner.until_stopped()

        assert snapshot_of(runner).state == "stopped"
        assert not is_bound(port)
        assert stage.far.live == []
        assert stage.far.under_way == []
        assert stage.clock.timers == []
        running = asyncio.all_tasks() - before
        assert len(running) == 1, "only its runner"


@pytest.mark.parametrize("phase", PHASES)
async def test_a_stop_and_a_start_lead_to_one_connection_in_any_phase(phase: str) -> None:
    async with a_stage() as stage:
        runner = await bring_to(phase, stage, free_port())
        runner.send(Stop())
        runner.send(Start())
        stage.finder.may_look.set()
        stage.far.may_listen.set()
        await settled()

        attempt = await stage.attempt()
        attempt.succeeds()
        await becomes(runner, "up")

        assert len(stage.far.live) == 1


@pytest.mark.parametrize("phase", PHASES)
async def test_a_tunnel_can_be_retired_in_any_phase(phase: str) -> None:
    port = free_port()
    async with a_stage() as stage:
        runner = await bring_to(phase, stage, port)

        runner.shutdown()
        await runner.until_stopped()

        assert not is_bound(port)


async def test_a_retired_tunnel_cannot_be_started_any_more() -> None:
    async with a_stage() as stage:
        runner, _ = await stage.connected()

        runner.shutdown()
        runner.send(Start())
        runner.send(Restart())
        await runner.until_stopped()

        assert len(stage.far.attempts) == 1


async def test_waiting_for_a_stop_ends_when_somebody_starts_the_tunnel_again() -> None:
    async with a_stage() as stage:
        runner, _ = await stage.connected()
        runner.send(Stop())
        runner.send(Start())

        await runner.until_stopped()

        await stage.attempt()
