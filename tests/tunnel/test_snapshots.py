"""The snapshot of a tunnel in each of its states."""

from __future__ import annotations

from tests.fake_clock import settle, until
from tests.tunnel.fake_ssh import DENIED, LOST, make_host
from tests.tunnel.harness import (
    RunnerHarness,
    make_tunnel,
    runner_harness,
    snapshot_of,
    wait_for_state,
)
from tunnelkeeper.core.configuration import HostOptions
from tunnelkeeper.core.lifecycle import Start, Stop
from tunnelkeeper.core.snapshot import FailureSnapshot, HopSnapshot, ProgressSnapshot

NOON = "2026-11-22T12:00:00Z"
HOP = "me@relay:22"


def behind_a_jump_host(harness: RunnerHarness) -> None:
    harness.host_resolver.chains["db"] = (make_host("bastion"), make_host("relay"))


async def test_a_stopped_tunnel_shows_its_configuration() -> None:
    options = HostOptions(jump=("bastion", "inner"))
    tunnel = make_tunnel(options=options, groups=("work",), remote=["2222:localhost:22"])
    async with runner_harness() as harness:
        snapshot = snapshot_of(harness.runner(tunnel))
        assert snapshot.forwards == [], "forwards are created when the runner starts"
        await settle()
        snapshot = snapshot_of(harness.runners[0])

        assert (snapshot.name, snapshot.state, snapshot.wanted, snapshot.since) == (
            "db",
            "stopped",
            False,
            NOON,
        )
        assert (snapshot.host, snapshot.jump, snapshot.groups) == (
            "relay",
            ["bastion", "inner"],
            ["work"],
        )
        assert (snapshot.attempt, snapshot.retry_at, snapshot.restarts) == (0, None, 0)
        assert (snapshot.rtt_ms, snapshot.cipher, snapshot.failure, snapshot.progress) == (
            None,
        ) * 4
        assert snapshot.hops == []
        assert [forward.state for forward in snapshot.forwards] == ["pending"]


async def test_a_tunnel_that_resolves_its_hosts_shows_the_ssh_config_step() -> None:
    async with runner_harness() as harness:
        harness.host_resolver.may_resolve.clear()
        runner = harness.runner()
        runner.send(Start())
        await until(lambda: snapshot_of(runner).progress)

        snapshot = snapshot_of(runner)

        assert (snapshot.state, snapshot.wanted, snapshot.attempt) == ("connecting", True, 1)
        assert snapshot.progress == ProgressSnapshot("relay", "ssh_config")
        assert snapshot.hops == []
        assert harness.changes[-1] == "db"


async def test_a_connecting_tunnel_shows_its_current_hop() -> None:
    async with runner_harness() as harness:
        behind_a_jump_host(harness)
        runner, attempt = await harness.start()
        before = len(harness.changes)
        attempt.progress.step("me@bastion:22", "login")

        snapshot = snapshot_of(runner)

        assert (snapshot.host, snapshot.jump) == (HOP, ["me@bastion:22"])
        assert snapshot.progress == ProgressSnapshot("me@bastion:22", "login")
        assert snapshot.hops == [HopSnapshot("me@bastion:22", False), HopSnapshot(HOP, False)]
        assert harness.changes[before:] == ["db"]


async def test_an_up_tunnel_is_shown_hop_by_hop() -> None:
    async with runner_harness() as harness:
        behind_a_jump_host(harness)
        await harness.clock.advance(5)
        runner, _ = await harness.connect()

        snapshot = snapshot_of(runner)

        assert (snapshot.state, snapshot.since) == ("up", "2026-11-22T12:00:05Z")
        assert (snapshot.attempt, snapshot.failure, snapshot.progress) == (0, None, None)
        assert (snapshot.rtt_ms, snapshot.cipher) == (1.5, "aes128-gcm@openssh.com")
        assert snapshot.hops == [
            HopSnapshot(
                host,
                connected=True,
                rtt_ms=1.5,
                answers_keepalives=True,
                key_exchange="sntrup761x25519-sha512@openssh.com",
                post_quantum=True,
            )
            for host in ("me@bastion:22", HOP)
        ]


async def test_an_up_tunnel_shows_its_failed_attempts_until_the_gate_time() -> None:
    async with runner_harness() as harness:
        runner, attempt = await harness.start(make_tunnel(gate_time=30))
        attempt.fail(LOST)
        await wait_for_state(runner, "backoff")
        await harness.clock.advance(2)
        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")
        since = snapshot_of(runner).since

        assert snapshot_of(runner).attempt == 1
        await harness.clock.advance(30)

        assert snapshot_of(runner).attempt == 0
        assert snapshot_of(runner).since == since


async def test_a_degraded_tunnel_and_its_forward_show_the_same_failure() -> None:
    async with runner_harness() as harness:
        harness.pool.listen_error = None
        tunnel = make_tunnel(remote=["2222:localhost:22", "2223:localhost:22"])
        harness.pool.ports_in_use.add(tunnel.forwards[1].listen)
        runner, _ = await harness.connect(tunnel)

        snapshot = snapshot_of(runner)

        assert (snapshot.state, snapshot.wanted) == ("degraded", True)
        message = "the server does not listen on localhost:2223"
        assert snapshot.failure == FailureSnapshot("remote_port_busy", HOP, message, "", NOON)
        assert [f.state for f in snapshot.forwards] == ["listening", "failed"]
        assert [f.failure for f in snapshot.forwards] == [None, snapshot.failure]


async def test_a_tunnel_in_backoff_shows_retry_time_and_failure() -> None:
    async with runner_harness() as harness:
        runner, connection = await harness.connect()
        await harness.clock.advance(60)
        connection.lose(LOST)
        await wait_for_state(runner, "backoff")

        snapshot = snapshot_of(runner)

        assert (snapshot.state, snapshot.wanted) == ("backoff", True)
        assert snapshot.since == "2026-11-22T12:01:00Z"
        assert snapshot.retry_at == "2026-11-22T12:01:02Z"
        assert snapshot.failure == FailureSnapshot(
            "lost", HOP, "connection lost", "", snapshot.since
        )
        assert (snapshot.rtt_ms, snapshot.cipher, snapshot.progress) == (None, None, None)
        assert snapshot.hops == [HopSnapshot(HOP, connected=False)]


async def test_a_blocked_tunnel_shows_its_next_retry() -> None:
    async with runner_harness() as harness:
        runner, attempt = await harness.start()
        attempt.fail(DENIED)
        await wait_for_state(runner, "blocked")

        snapshot = snapshot_of(runner)

        assert (snapshot.state, snapshot.wanted, snapshot.attempt) == ("blocked", True, 1)
        assert snapshot.retry_at == "2026-11-22T12:05:00Z"
        assert snapshot.failure is not None
        assert snapshot.failure.message == "permission denied (publickey)"


async def test_the_last_failure_stays_visible_during_the_next_attempt() -> None:
    async with runner_harness() as harness:
        runner, attempt = await harness.start()
        attempt.fail(LOST)
        await wait_for_state(runner, "backoff")
        await harness.clock.advance(2)
        await harness.next_attempt()

        snapshot = snapshot_of(runner)

        assert (snapshot.state, snapshot.attempt) == ("connecting", 2)
        assert snapshot.failure is not None
        assert (snapshot.failure.cause, snapshot.failure.at) == ("lost", NOON)


async def test_a_stopping_tunnel_is_not_wanted() -> None:
    async with runner_harness() as harness:
        runner, _ = await harness.connect()
        harness.pool.may_close.clear()
        runner.send(Stop())
        await wait_for_state(runner, "stopping")

        snapshot = snapshot_of(runner)

        assert (snapshot.wanted, snapshot.attempt, snapshot.retry_at) == (False, 0, None)
        harness.pool.may_close.set()
        await wait_for_state(runner, "stopped")
