"""Checks of running forwards, told as stories on a clock that stands still."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.e2e.ports import free_port
from tests.fake_clock import settled, until
from tests.tunnel.fake_ssh import LOST
from tests.tunnel.harness import Stage, a_stage, a_tunnel, becomes, snapshot_of
from tunnelkeeper.core.forward_spec import Forward, TcpAddress, parse_local, parse_remote
from tunnelkeeper.core.health_checks import Check
from tunnelkeeper.core.lifecycle import RestartGracefully, Stop
from tunnelkeeper.core.probes import HttpProbe, TcpProbe
from tunnelkeeper.tunnel.runner import Reconfigure, Runner

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Tunnel

DB = TcpAddress("db", 5432)
CHECK = Check(TcpProbe(), interval=60, timeout=10, failures=3)


def a_checked(check: Check = CHECK, **changes: Any) -> Tunnel:
    """A tunnel with one local forward to DB, checked."""
    forward: Forward = parse_local(f"{free_port()}:{DB}")
    return a_tunnel(forwards=(forward,), checks={forward: check}, **changes)


def ok(runner: Runner) -> bool | None:
    """What the last check of its forward said."""
    check = snapshot_of(runner).forwards[0].check
    assert check is not None
    return check.ok


def step_of(runner: Runner) -> str:
    """How far a tunnel has come that is connecting."""
    progress = snapshot_of(runner).progress
    return progress.step if progress else ""


async def a_good_one(stage: Stage, check: Check = CHECK, **changes: Any) -> Runner:
    """A tunnel whose first check has passed."""
    runner, _ = await stage.connected(a_checked(check, **changes))
    await stage.clock.passes(0)
    await until(lambda: ok(runner))
    return runner


async def test_the_first_check_is_made_at_once_and_counts_as_nobodys_traffic() -> None:
    async with a_stage() as stage:
        runner = await a_good_one(stage)

        tunnel = snapshot_of(runner)
        assert tunnel.state == "up"
        assert (tunnel.connections, tunnel.connections_total, tunnel.bytes_out) == (0, 0, 0)


async def test_a_tunnel_is_not_called_up_before_what_is_checked_has_proved_good() -> None:
    async with a_stage() as stage:
        stage.far.silent.add(DB)
        tunnel = a_checked(replace(CHECK, timeout=0.05), on_up=("false",))
        runner, attempt = await stage.started(tunnel)
        attempt.succeeds()
        await until(lambda: step_of(runner) == "checks")
        assert snapshot_of(runner).state == "connecting"

        await becomes(runner, "degraded")
        assert "up: " not in stage.log.getvalue()

        stage.far.silent.clear()
        await stage.clock.passes(60)
        await becomes(runner, "up")
        await until(lambda: "on_up: ended with exit status 1" in stage.log.getvalue())


async def test_a_forward_that_does_not_listen_is_not_waited_for() -> None:
    async with a_stage() as stage:
        forward = parse_remote("2222:localhost:22")
        stage.far.taken.add(forward.listen)
        runner, _ = await stage.connected(a_tunnel(forwards=(forward,), checks={forward: CHECK}))

        await becomes(runner, "degraded")


async def test_a_reload_may_take_away_what_a_tunnel_waits_for() -> None:
    async with a_stage() as stage:
        stage.far.silent.add(DB)
        tunnel = a_checked()
        runner, attempt = await stage.started(tunnel)
        attempt.succeeds()
        await until(lambda: step_of(runner) == "checks")

        runner.send(Reconfigure(replace(tunnel, checks={})))

        await becomes(runner, "up")


async def test_a_first_check_can_be_one_too_many() -> None:
    async with a_stage() as stage:
        stage.far.unreachable.add(DB)
        runner, _ = await stage.connected(a_checked(replace(CHECK, failures=1)))
        await stage.clock.passes(1)

        (await stage.attempt()).succeeds()

        await until(lambda: snapshot_of(runner).restarts == 1)
        assert snapshot_of(runner).state == "degraded"


async def test_a_new_connection_that_carries_nothing_gives_way_to_the_old_one_that_did() -> None:
    async with a_stage() as stage:
        tunnel = a_checked(replace(CHECK, failures=2))
        [forward] = tunnel.forwards
        runner, old = await stage.connected(tunnel)
        assert isinstance(forward.listen, TcpAddress)
        _, writer = await asyncio.open_connection("127.0.0.1", forward.listen.port)
        await until(lambda: old.channel_count)
        await stage.clock.passes(1)
        runner.send(RestartGracefully())
        new = (await stage.attempt()).succeeds()
        new.unreachable.add(DB)
        await becomes(runner, "degraded")
        await stage.clock.passes(60)

        await becomes(runner, "up")
        await until(lambda: stage.far.live == [old])

        assert snapshot_of(runner).replacement is None
        assert old.channel_count == 1, "the transfer went on"
        words = "the new connection does not carry data: the old one is used again"
        assert words in stage.log.getvalue()
        writer.close()


async def test_a_failed_check_degrades_and_a_good_one_heals() -> None:
    async with a_stage() as stage:
        runner = await a_good_one(stage)

        stage.far.unreachable.add(DB)
        await stage.clock.passes(60)
        await becomes(runner, "degraded")
        [forward] = snapshot_of(runner).forwards
        assert forward.state == "failed"
        assert forward.failure is not None
        assert forward.failure.cause == "check_failed"
        assert forward.failure.message == "db:5432: connect failed"

        stage.far.unreachable.clear()
        await stage.clock.passes(60)
        await becomes(runner, "up")
        assert snapshot_of(runner).forwards[0].state == "listening"
        assert len(stage.far.attempts) == 1


async def test_a_connection_that_is_replaced_in_vain_is_not_replaced_again() -> None:
    async with a_stage() as stage:
        runner = await a_good_one(stage)
        stage.far.unreachable.add(DB)
        for _ in range(3):
            await stage.clock.passes(60)
            await settled()
        (await stage.attempt()).succeeds()

        # What was found on the old connection holds until the new one is checked.
        await until(lambda: snapshot_of(runner).state == "degraded")
        for _ in range(10):
            await stage.clock.passes(60)
            await settled()

        assert snapshot_of(runner).state == "degraded"
        assert len(stage.far.attempts) == 2
        assert stage.log.getvalue().count("3 checks in a row failed; replacing the connection") == 1


async def test_a_connection_that_is_lost_is_not_held_against_the_forward() -> None:
    async with a_stage() as stage:
        stage.far.silent.add(DB)
        runner, attempt = await stage.started(a_checked())
        connection = attempt.succeeds()
        await until(lambda: step_of(runner) == "checks")
        connection.ends(LOST)
        await becomes(runner, "backoff")
        await stage.clock.passes(0)

        assert ok(runner) is None
        assert snapshot_of(runner).forwards[0].state == "listening"


async def test_while_the_tunnel_is_away_nothing_is_checked_and_nothing_is_shown_as_failed() -> None:
    async with a_stage() as stage:
        stage.far.unreachable.add(DB)
        runner, connection = await stage.connected(a_checked())
        await becomes(runner, "degraded")

        connection.ends(LOST)
        await becomes(runner, "backoff")
        stage.far.unreachable.clear()
        assert snapshot_of(runner).forwards[0].failure is None
        await stage.clock.passes(2)
        (await stage.attempt()).succeeds()
        await stage.clock.passes(0)

        await becomes(runner, "up")
        assert ok(runner) is True


async def test_a_remote_port_that_leads_nowhere_fails_its_check() -> None:
    async with a_stage() as stage:
        forward = parse_remote("2222:localhost:22")
        check = Check(TcpProbe(), timeout=0.05)
        tunnel = a_tunnel(forwards=(forward,), checks={forward: check})
        runner, connection = await stage.connected(tunnel)
        await stage.clock.passes(0)

        await becomes(runner, "degraded")

        failure = snapshot_of(runner).forwards[0].failure
        assert failure is not None
        assert "a connection to localhost:2222 on the server did not come back" in failure.message
        assert connection.opened[0][0] == TcpAddress("localhost", 2222)


async def test_exit_on_forward_failure_is_about_listening_and_not_about_checks() -> None:
    async with a_stage() as stage:
        stage.far.unreachable.add(DB)
        runner, connection = await stage.connected(a_checked(exit_on_forward_failure=True))
        await becomes(runner, "degraded")

        connection.ends(LOST)
        await becomes(runner, "backoff")
        await stage.clock.passes(2)
        (await stage.attempt()).succeeds()

        await becomes(runner, "degraded")


async def test_a_forward_that_listens_late_is_checked_then() -> None:
    async with a_stage() as stage:
        forward = parse_remote("2222:localhost:22")
        stage.far.taken.add(forward.listen)
        check = Check(TcpProbe(), timeout=0.05)
        tunnel = a_tunnel(forwards=(forward,), checks={forward: check})
        runner, _ = await stage.connected(tunnel)
        await stage.clock.passes(0)
        assert ok(runner) is None

        stage.far.taken.clear()
        await stage.clock.passes(1)
        await stage.clock.passes(0)

        await until(lambda: ok(runner) is False)


async def test_a_reload_that_leaves_a_check_alone_leaves_its_findings_alone() -> None:
    async with a_stage() as stage:
        runner = await a_good_one(stage)
        tunnel = runner.tunnel
        [forward] = tunnel.forwards

        runner.send(Reconfigure(a_tunnel(forwards=(forward,), checks=tunnel.checks, gate_time=5)))
        await settled()
        assert ok(runner) is True

        other = Check(HttpProbe("web", "/"), interval=60)
        runner.send(Reconfigure(a_tunnel(forwards=(forward,), checks={forward: other})))
        await settled()
        await stage.clock.passes(0)
        await becomes(runner, "degraded")
        runner.send(Reconfigure(a_tunnel(forwards=(forward,))))
        await becomes(runner, "up")
        assert snapshot_of(runner).forwards[0].check is None
        assert len(stage.clock.timers) == 1  # the gate's, and no check's


async def test_a_stop_ends_the_checks() -> None:
    async with a_stage() as stage:
        runner = await a_good_one(stage)

        runner.send(Stop())
        await becomes(runner, "stopped")

        assert stage.clock.timers == []
