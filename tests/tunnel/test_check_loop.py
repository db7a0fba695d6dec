"""Health checks of running forwards, on a fake clock."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from msgspec import structs

from tests.e2e.ports import free_port
from tests.fake_clock import settle, until
from tests.tunnel.fake_ssh import LOST
from tests.tunnel.harness import (
    RunnerHarness,
    make_tunnel,
    runner_harness,
    snapshot_of,
    wait_for_state,
)
from tunnelkeeper.core.forward_spec import Forward, TcpAddress, parse_local, parse_remote
from tunnelkeeper.core.health_checks import Check
from tunnelkeeper.core.lifecycle import RestartGracefully, Stop
from tunnelkeeper.core.probes import HttpProbe, TcpProbe
from tunnelkeeper.tunnel.runner import Reconfigure, Runner

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Tunnel

DB = TcpAddress("db", 5432)
CHECK = Check(TcpProbe(), interval=60, timeout=10, failures=3)


def make_checked_tunnel(check: Check = CHECK, **changes: Any) -> Tunnel:
    """Make a tunnel with one checked local forward to DB."""
    forward: Forward = parse_local(f"{free_port()}:{DB}")
    return make_tunnel(forwards=(forward,), checks={forward: check}, **changes)


def last_check_ok(runner: Runner) -> bool | None:
    """Return the result of the last check of the tunnel's forward."""
    check = snapshot_of(runner).forwards[0].check
    assert check is not None
    return check.ok


def current_step(runner: Runner) -> str:
    """Return the current step of a connecting tunnel."""
    progress = snapshot_of(runner).progress
    return progress.step if progress else ""


async def connect_and_check(harness: RunnerHarness, check: Check = CHECK, **changes: Any) -> Runner:
    """Connect a tunnel and let its first check pass."""
    runner, _ = await harness.connect(make_checked_tunnel(check, **changes))
    await harness.clock.advance(0)
    await until(lambda: last_check_ok(runner))
    return runner


async def test_the_first_check_runs_at_once_and_is_not_counted_as_traffic() -> None:
    async with runner_harness() as harness:
        runner = await connect_and_check(harness)

        tunnel = snapshot_of(runner)
        assert tunnel.state == "up"
        assert (tunnel.connections, tunnel.connections_total, tunnel.bytes_out) == (0, 0, 0)


async def test_a_tunnel_is_up_only_after_its_checks_have_passed() -> None:
    async with runner_harness() as harness:
        harness.pool.unresponsive.add(DB)
        tunnel = make_checked_tunnel(structs.replace(CHECK, timeout=0.05), on_up=("false",))
        runner, attempt = await harness.start(tunnel)
        attempt.succeed()
        await until(lambda: current_step(runner) == "checks")
        assert snapshot_of(runner).state == "connecting"

        await wait_for_state(runner, "degraded")
        assert "up: " not in harness.log.getvalue()

        harness.pool.unresponsive.clear()
        await harness.clock.advance(60)
        await wait_for_state(runner, "up")
        await until(lambda: "on_up: ended with exit status 1" in harness.log.getvalue())


async def test_opening_does_not_wait_for_a_forward_that_does_not_listen() -> None:
    async with runner_harness() as harness:
        forward = parse_remote("2222:localhost:22")
        harness.pool.ports_in_use.add(forward.listen)
        runner, _ = await harness.connect(make_tunnel(forwards=(forward,), checks={forward: CHECK}))

        await wait_for_state(runner, "degraded")


async def test_a_reload_that_removes_a_pending_check_lets_the_tunnel_come_up() -> None:
    async with runner_harness() as harness:
        harness.pool.unresponsive.add(DB)
        tunnel = make_checked_tunnel()
        runner, attempt = await harness.start(tunnel)
        attempt.succeed()
        await until(lambda: current_step(runner) == "checks")

        runner.send(Reconfigure(replace(tunnel, checks={})))

        await wait_for_state(runner, "up")


async def test_a_failed_first_check_can_replace_the_connection() -> None:
    async with runner_harness() as harness:
        harness.pool.unreachable.add(DB)
        runner, _ = await harness.connect(make_checked_tunnel(structs.replace(CHECK, failures=1)))
        await harness.clock.advance(1)

        (await harness.next_attempt()).succeed()

        await until(lambda: snapshot_of(runner).restarts == 1)
        assert snapshot_of(runner).state == "degraded"


async def test_a_replacement_that_fails_its_checks_returns_to_the_draining_connection() -> None:
    async with runner_harness() as harness:
        tunnel = make_checked_tunnel(structs.replace(CHECK, failures=2))
        [forward] = tunnel.forwards
        runner, old = await harness.connect(tunnel)
        assert isinstance(forward.listen, TcpAddress)
        _, writer = await asyncio.open_connection("127.0.0.1", forward.listen.port)
        await until(lambda: old.channel_count)
        await harness.clock.advance(1)
        runner.send(RestartGracefully())
        new = (await harness.next_attempt()).succeed()
        new.unreachable.add(DB)
        await wait_for_state(runner, "degraded")
        await harness.clock.advance(60)

        await wait_for_state(runner, "up")
        await until(lambda: harness.pool.open_connections == [old])

        assert snapshot_of(runner).replacement is None
        assert old.channel_count == 1, "the transfer continued"
        message = "the new connection does not carry data: the old one is used again"
        assert message in harness.log.getvalue()
        writer.close()


async def test_a_failed_check_degrades_the_tunnel_and_a_passed_one_restores_it() -> None:
    async with runner_harness() as harness:
        runner = await connect_and_check(harness)

        harness.pool.unreachable.add(DB)
        await harness.clock.advance(60)
        await wait_for_state(runner, "degraded")
        [forward] = snapshot_of(runner).forwards
        assert forward.state == "failed"
        assert forward.failure is not None
        assert forward.failure.cause == "check_failed"
        assert forward.failure.message == "db:5432: connect failed"

        harness.pool.unreachable.clear()
        await harness.clock.advance(60)
        await wait_for_state(runner, "up")
        assert snapshot_of(runner).forwards[0].state == "listening"
        assert len(harness.pool.attempts) == 1


async def test_failed_checks_replace_the_connection_only_once() -> None:
    async with runner_harness() as harness:
        runner = await connect_and_check(harness)
        harness.pool.unreachable.add(DB)
        for _ in range(3):
            await harness.clock.advance(60)
            await settle()
        (await harness.next_attempt()).succeed()

        # The last result on the old connection stays valid until the new one is checked.
        await until(lambda: snapshot_of(runner).state == "degraded")
        for _ in range(10):
            await harness.clock.advance(60)
            await settle()

        assert snapshot_of(runner).state == "degraded"
        assert len(harness.pool.attempts) == 2
        assert (
            harness.log.getvalue().count("3 checks in a row failed; replacing the connection") == 1
        )


async def test_a_lost_connection_is_not_recorded_as_a_failed_check() -> None:
    async with runner_harness() as harness:
        harness.pool.unresponsive.add(DB)
        runner, attempt = await harness.start(make_checked_tunnel())
        connection = attempt.succeed()
        await until(lambda: current_step(runner) == "checks")
        connection.lose(LOST)
        await wait_for_state(runner, "backoff")
        await harness.clock.advance(0)

        assert last_check_ok(runner) is None
        assert snapshot_of(runner).forwards[0].state == "listening"


async def test_a_disconnected_tunnel_runs_no_checks_and_shows_no_check_failure() -> None:
    async with runner_harness() as harness:
        harness.pool.unreachable.add(DB)
        runner, connection = await harness.connect(make_checked_tunnel())
        await wait_for_state(runner, "degraded")

        connection.lose(LOST)
        await wait_for_state(runner, "backoff")
        harness.pool.unreachable.clear()
        assert snapshot_of(runner).forwards[0].failure is None
        await harness.clock.advance(2)
        (await harness.next_attempt()).succeed()
        await harness.clock.advance(0)

        await wait_for_state(runner, "up")
        assert last_check_ok(runner) is True


async def test_a_remote_port_without_a_reachable_target_fails_its_check() -> None:
    async with runner_harness() as harness:
        forward = parse_remote("2222:localhost:22")
        check = Check(TcpProbe(), timeout=0.05)
        tunnel = make_tunnel(forwards=(forward,), checks={forward: check})
        runner, connection = await harness.connect(tunnel)
        await harness.clock.advance(0)

        await wait_for_state(runner, "degraded")

        failure = snapshot_of(runner).forwards[0].failure
        assert failure is not None
        assert "a connection to localhost:2222 on the server did not come back" in failure.message
        assert connection.opened[0][0] == TcpAddress("localhost", 2222)


async def test_exit_on_forward_failure_ignores_failed_checks() -> None:
    async with runner_harness() as harness:
        harness.pool.unreachable.add(DB)
        runner, connection = await harness.connect(
            make_checked_tunnel(exit_on_forward_failure=True)
        )
        await wait_for_state(runner, "degraded")

        connection.lose(LOST)
        await wait_for_state(runner, "backoff")
        await harness.clock.advance(2)
        (await harness.next_attempt()).succeed()

        await wait_for_state(runner, "degraded")


async def test_a_forward_is_checked_as_soon_as_it_listens() -> None:
    async with runner_harness() as harness:
        forward = parse_remote("2222:localhost:22")
        harness.pool.ports_in_use.add(forward.listen)
        check = Check(TcpProbe(), timeout=0.05)
        tunnel = make_tunnel(forwards=(forward,), checks={forward: check})
        runner, _ = await harness.connect(tunnel)
        await harness.clock.advance(0)
        assert last_check_ok(runner) is None

        harness.pool.ports_in_use.clear()
        await harness.clock.advance(1)
        await harness.clock.advance(0)

        await until(lambda: last_check_ok(runner) is False)


async def test_a_reload_keeps_the_result_of_an_unchanged_check() -> None:
    async with runner_harness() as harness:
        runner = await connect_and_check(harness)
        tunnel = runner.tunnel
        [forward] = tunnel.forwards

        runner.send(
            Reconfigure(make_tunnel(forwards=(forward,), checks=tunnel.checks, gate_time=5))
        )
        await settle()
        assert last_check_ok(runner) is True

        http_check = Check(HttpProbe("web", "/"), interval=60)
        runner.send(Reconfigure(make_tunnel(forwards=(forward,), checks={forward: http_check})))
        await settle()
        await harness.clock.advance(0)
        await wait_for_state(runner, "degraded")
        runner.send(Reconfigure(make_tunnel(forwards=(forward,))))
        await wait_for_state(runner, "up")
        assert snapshot_of(runner).forwards[0].check is None
        assert len(harness.clock.timers) == 1  # only the timer of the gate time


async def test_a_stop_cancels_the_checks() -> None:
    async with runner_harness() as harness:
        runner = await connect_and_check(harness)

        runner.send(Stop())
        await wait_for_state(runner, "stopped")

        assert harness.clock.timers == []
