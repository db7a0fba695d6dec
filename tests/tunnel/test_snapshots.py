"""What status shows of a tunnel in each of its states."""

from __future__ import annotations

from tests.fake_clock import settled, until
from tests.tunnel.fake_ssh import DENIED, LOST, a_host
from tests.tunnel.harness import Stage, a_stage, a_tunnel, becomes, snapshot_of
from tunnelkeeper.core.configuration import HostOptions
from tunnelkeeper.core.lifecycle import Start, Stop
from tunnelkeeper.core.snapshot import FailureSnapshot, HopSnapshot, ProgressSnapshot

NOON = "2026-11-22T12:00:00Z"
HOP = "me@relay:22"


def behind_a_jump_host(stage: Stage) -> None:
    stage.finder.ways["db"] = (a_host("bastion"), a_host("relay"))


async def test_a_stopped_tunnel_is_shown_as_it_is_configured() -> None:
    options = HostOptions(jump=("bastion", "inner"))
    tunnel = a_tunnel(options=options, groups=("work",), remote=["2222:localhost:22"])
    async with a_stage() as stage:
        shown = snapshot_of(stage.runner(tunnel))
        assert shown.forwards == [], "its forwards are made when it first runs"
        await settled()
        shown = snapshot_of(stage.runners[0])

        assert (shown.name, shown.state, shown.wanted, shown.since) == (
            "db",
            "stopped",
            False,
            NOON,
        )
        assert (shown.host, shown.jump, shown.groups) == ("relay", ["bastion", "inner"], ["work"])
        assert (shown.attempt, shown.retry_at, shown.restarts) == (0, None, 0)
        assert (shown.rtt_ms, shown.cipher, shown.failure, shown.progress) == (None,) * 4
        assert shown.hops == []
        assert [forward.state for forward in shown.forwards] == ["pending"]


async def test_a_tunnel_that_looks_its_hosts_up_says_so() -> None:
    async with a_stage() as stage:
        stage.finder.may_look.clear()
        runner = stage.runner()
        runner.send(Start())
        await until(lambda: snapshot_of(runner).progress)

        shown = snapshot_of(runner)

        assert (shown.state, shown.wanted, shown.attempt) == ("connecting", True, 1)
        assert shown.progress == ProgressSnapshot("relay", "ssh_config")
        assert shown.hops == []
        assert stage.changes[-1] == "db"


async def test_a_connecting_tunnel_says_at_which_hop_it_is() -> None:
    async with a_stage() as stage:
        behind_a_jump_host(stage)
        runner, attempt = await stage.started()
        before = len(stage.changes)
        attempt.report.step("me@bastion:22", "login")

        shown = snapshot_of(runner)

        assert (shown.host, shown.jump) == (HOP, ["me@bastion:22"])
        assert shown.progress == ProgressSnapshot("me@bastion:22", "login")
        assert shown.hops == [HopSnapshot("me@bastion:22", False), HopSnapshot(HOP, False)]
        assert stage.changes[before:] == ["db"]


async def test_an_up_tunnel_is_shown_hop_by_hop() -> None:
    async with a_stage() as stage:
        behind_a_jump_host(stage)
        await stage.clock.passes(5)
        runner, _ = await stage.connected()

        shown = snapshot_of(runner)

        assert (shown.state, shown.since) == ("up", "2026-11-22T12:00:05Z")
        assert (shown.attempt, shown.failure, shown.progress) == (0, None, None)
        assert (shown.rtt_ms, shown.cipher) == (1.5, "aes128-gcm@openssh.com")
        assert shown.hops == [
            HopSnapshot("me@bastion:22", connected=True, rtt_ms=1.5),
            HopSnapshot(HOP, connected=True, rtt_ms=1.5),
        ]


async def test_an_up_tunnel_remembers_its_attempts_until_it_is_trusted() -> None:
    async with a_stage() as stage:
        runner, attempt = await stage.started(a_tunnel(gate_time=30))
        attempt.fails(LOST)
        await becomes(runner, "backoff")
        await stage.clock.passes(2)
        (await stage.attempt()).succeeds()
        await becomes(runner, "up")
        since = snapshot_of(runner).since

        assert snapshot_of(runner).attempt == 1
        await stage.clock.passes(30)

        assert snapshot_of(runner).attempt == 0
        assert snapshot_of(runner).since == since


async def test_a_degraded_tunnel_shows_the_failure_of_its_forward_at_both_places() -> None:
    async with a_stage() as stage:
        stage.far.fault_of_listening = None
        tunnel = a_tunnel(remote=["2222:localhost:22", "2223:localhost:22"])
        stage.far.taken.add(tunnel.forwards[1].listen)
        runner, _ = await stage.connected(tunnel)

        shown = snapshot_of(runner)

        assert (shown.state, shown.wanted) == ("degraded", True)
        words = "the server does not listen on localhost:2223"
        assert shown.failure == FailureSnapshot("remote_port_busy", HOP, words, "", NOON)
        assert [f.state for f in shown.forwards] == ["listening", "failed"]
        assert [f.failure for f in shown.forwards] == [None, shown.failure]


async def test_a_tunnel_in_backoff_says_when_and_why() -> None:
    async with a_stage() as stage:
        runner, connection = await stage.connected()
        await stage.clock.passes(60)
        connection.ends(LOST)
        await becomes(runner, "backoff")

        shown = snapshot_of(runner)

        assert (shown.state, shown.wanted) == ("backoff", True)
        assert shown.since == "2026-11-22T12:01:00Z"
        assert shown.retry_at == "2026-11-22T12:01:02Z"
        assert shown.failure == FailureSnapshot("lost", HOP, "connection lost", "", shown.since)
        assert (shown.rtt_ms, shown.cipher, shown.progress) == (None, None, None)
        assert shown.hops == [HopSnapshot(HOP, connected=False)]


async def test_a_blocked_tunnel_says_when_it_is_tried_next() -> None:
    async with a_stage() as stage:
        runner, attempt = await stage.started()
        attempt.fails(DENIED)
        await becomes(runner, "blocked")

        shown = snapshot_of(runner)

        assert (shown.state, shown.wanted, shown.attempt) == ("blocked", True, 1)
        assert shown.retry_at == "2026-11-22T12:05:00Z"
        assert shown.failure is not None
        assert shown.failure.message == "permission denied (publickey)"


async def test_a_failed_attempt_stays_visible_during_the_next() -> None:
    async with a_stage() as stage:
        runner, attempt = await stage.started()
        attempt.fails(LOST)
        await becomes(runner, "backoff")
        await stage.clock.passes(2)
        await stage.attempt()

        shown = snapshot_of(runner)

        assert (shown.state, shown.attempt) == ("connecting", 2)
        assert shown.failure is not None
        assert (shown.failure.cause, shown.failure.at) == ("lost", NOON)


async def test_a_stopping_tunnel_is_not_wanted_any_more() -> None:
    async with a_stage() as stage:
        runner, _ = await stage.connected()
        stage.far.may_close.clear()
        runner.send(Stop())
        await becomes(runner, "stopping")

        shown = snapshot_of(runner)

        assert (shown.wanted, shown.attempt, shown.retry_at) == (False, 0, None)
        stage.far.may_close.set()
        await becomes(runner, "stopped")
