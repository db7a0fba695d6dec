"""Stops, restarts and shutdowns of a tunnel in every phase."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.e2e.ports import free_port
from tests.fake_clock import settle, until
from tests.tunnel.fake_ssh import DENIED, REFUSED
from tests.tunnel.harness import is_bound, make_tunnel, runner_harness, snapshot_of, wait_for_state
from tunnelkeeper.core.lifecycle import Restart, Start, Stop

if TYPE_CHECKING:
    from tests.tunnel.harness import RunnerHarness
    from tunnelkeeper.tunnel.runner import Runner

PHASES = ["looking up", "connecting", "listening", "up", "closing", "backoff", "blocked"]


async def advance_to_phase(phase: str, harness: RunnerHarness, port: int) -> Runner:
    tunnel = make_tunnel(local=[f"{port}:db:5432"], remote=["2222:localhost:22"])
    runner = harness.runner(tunnel)
    if phase == "looking up":
        harness.host_resolver.may_resolve.clear()
    if phase == "listening":
        harness.pool.may_listen.clear()
    runner.send(Start())
    await until(lambda: snapshot_of(runner).progress)
    if phase == "looking up":
        return runner
    attempt = await harness.next_attempt()
    match phase:
        case "listening":
            attempt.succeed()
            await until(lambda: harness.pool.listen_requests)
        case "up":
            attempt.succeed()
            await wait_for_state(runner, "up")
        case "closing":
            attempt.succeed()
            await wait_for_state(runner, "up")
            harness.pool.may_close.clear()
            runner.send(Restart())
            await settle()
            harness.pool.may_close.set()
        case "backoff":
            attempt.fail(REFUSED)
            await wait_for_state(runner, "backoff")
        case "blocked":
            attempt.fail(DENIED)
            await wait_for_state(runner, "blocked")
    return runner


@pytest.mark.parametrize("phase", PHASES)
async def test_a_stop_leaves_nothing_behind_in_any_phase(phase: str) -> None:
    port = free_port()
    before = asyncio.all_tasks()
    async with runner_harness() as harness:
        runner = await advance_to_phase(phase, harness, port)
        assert is_bound(port)

        runner.send(Stop())
        await runner.until_stopped()

        assert snapshot_of(runner).state == "stopped"
        assert not is_bound(port)
        assert harness.pool.open_connections == []
        assert harness.pool.pending_attempts == []
        assert harness.clock.timers == []
        running = asyncio.all_tasks() - before
        assert len(running) == 1, "only its runner"


@pytest.mark.parametrize("phase", PHASES)
async def test_a_stop_and_a_start_lead_to_one_connection_in_any_phase(phase: str) -> None:
    async with runner_harness() as harness:
        runner = await advance_to_phase(phase, harness, free_port())
        runner.send(Stop())
        runner.send(Start())
        harness.host_resolver.may_resolve.set()
        harness.pool.may_listen.set()
        await settle()

        attempt = await harness.next_attempt()
        attempt.succeed()
        await wait_for_state(runner, "up")

        assert len(harness.pool.open_connections) == 1


@pytest.mark.parametrize("phase", PHASES)
async def test_a_runner_can_be_shut_down_in_any_phase(phase: str) -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner = await advance_to_phase(phase, harness, port)

        runner.shutdown()
        await runner.until_stopped()

        assert not is_bound(port)


async def test_a_runner_that_has_ended_is_not_waited_for() -> None:
    async with runner_harness() as harness:
        runner, _ = await harness.connect()
        runner.shutdown()
        await runner.until_stopped()
        await settle()

        runner.shutdown()
        await runner.until_stopped()


async def test_a_runner_ignores_starts_after_shutdown() -> None:
    async with runner_harness() as harness:
        runner, _ = await harness.connect()

        runner.shutdown()
        runner.send(Start())
        runner.send(Restart())
        await runner.until_stopped()

        assert len(harness.pool.attempts) == 1


async def test_waiting_for_a_stop_ends_when_the_tunnel_is_started_again() -> None:
    async with runner_harness() as harness:
        runner, _ = await harness.connect()
        runner.send(Stop())
        runner.send(Start())

        await runner.until_stopped()

        await harness.next_attempt()
