"""The runner: connecting, backoff, retries, blocked and stopped tunnels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.fake_clock import NOON, settle, until
from tests.tunnel.fake_ssh import DENIED, LOST, REFUSED, UNRESOLVED, make_host
from tests.tunnel.harness import make_tunnel, runner_harness, snapshot_of, wait_for_state
from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.lifecycle import HostChanged, Restart, RetryNow, Start, Stop
from tunnelkeeper.sshconfig import SshConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.tunnel.runner import Runner


def failure_of(runner: Runner) -> str | None:
    failure = snapshot_of(runner).failure
    return failure.cause if failure else None


async def test_a_started_tunnel_comes_up() -> None:
    async with runner_harness() as harness:
        runner, attempt = await harness.start()
        assert snapshot_of(runner).state == "connecting"

        attempt.succeed()
        await wait_for_state(runner, "up")

        assert harness.up_calls == ["db"]
        assert "info    db: connecting" in harness.log.getvalue()
        assert "db: up: me@relay:22 (aes128-gcm@openssh.com)" in harness.log.getvalue()


async def test_a_refusing_server_is_retried_after_the_policy_delay() -> None:
    async with runner_harness() as harness:
        runner, attempt = await harness.start()
        for delay in (2, 4, 5, 5):  # capped, as no handshake took place
            attempt.fail(REFUSED)
            await wait_for_state(runner, "backoff")

            await harness.clock.advance(delay - 0.001)
            assert harness.pool.pending_attempts == []

            await harness.clock.advance(0.002)
            attempt = await harness.next_attempt()

        attempt.succeed()
        await wait_for_state(runner, "up")
        assert "up: me@relay:22 (aes128-gcm@openssh.com) after 4 failed attempts" in (
            harness.log.getvalue()
        )


async def test_a_question_that_was_answered_before_the_tunnel_waited_for_it_leads_to_a_retry() -> (
    None
):
    async with runner_harness() as harness:
        runner, attempt = await harness.start()

        attempt.fail(Failure(Cause.ANSWER_NEEDED, "locked", question="q7"))

        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")


async def test_a_connection_that_ends_leads_to_backoff_and_its_cause_is_shown() -> None:
    async with runner_harness() as harness:
        runner, connection = await harness.connect()

        connection.lose(LOST)
        await wait_for_state(runner, "backoff")

        assert failure_of(runner) == "lost"
        assert snapshot_of(runner).hops[0].connected is False
        await harness.clock.advance(2)
        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")
        assert failure_of(runner) is None
        assert snapshot_of(runner).restarts == 1


async def test_attempts_are_reset_only_after_the_gate_time() -> None:
    async with runner_harness() as harness:
        runner, attempt = await harness.start(make_tunnel(gate_time=30))
        attempt.fail(LOST)
        await wait_for_state(runner, "backoff")
        await harness.clock.advance(2)
        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")

        await harness.clock.advance(29)
        assert snapshot_of(runner).attempt == 1
        await harness.clock.advance(1)
        assert snapshot_of(runner).attempt == 0


async def test_a_timer_that_fires_early_is_set_again() -> None:
    async with runner_harness() as harness:
        runner, attempt = await harness.start()
        attempt.fail(REFUSED)
        await wait_for_state(runner, "backoff")
        [timer] = harness.clock.timers

        timer.fire()
        await harness.clock.advance(1.9)
        assert harness.pool.pending_attempts == []

        await harness.clock.advance(0.1)
        await harness.next_attempt()


async def test_max_attempts_block_the_tunnel_until_a_manual_start() -> None:
    async with runner_harness() as harness:
        runner, attempt = await harness.start(make_tunnel(max_attempts=2))
        attempt.fail(REFUSED)
        await wait_for_state(runner, "backoff")
        await harness.clock.advance(2)
        (await harness.next_attempt()).fail(REFUSED)
        await wait_for_state(runner, "blocked")

        await harness.clock.advance(86400)
        runner.send(RetryNow())
        await settle()
        assert failure_of(runner) == "too_many_attempts"
        assert snapshot_of(runner).retry_at is None
        assert harness.pool.pending_attempts == []

        runner.send(Start())
        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")


async def test_a_blocked_tunnel_is_retried_every_five_minutes() -> None:
    async with runner_harness() as harness:
        runner, attempt = await harness.start()
        attempt.fail(DENIED)
        await wait_for_state(runner, "blocked")

        await harness.clock.advance(299)
        assert harness.pool.pending_attempts == []

        await harness.clock.advance(1)
        await harness.next_attempt()


async def test_a_blocked_tunnel_retries_at_once_when_the_file_at_fault_changes(
    tmp_path: Path,
) -> None:
    key = tmp_path / "id_ed25519"
    async with runner_harness() as harness:
        host = harness.host_resolver.chains["db"] = (
            replace(make_host(), identity_files=(str(key),)),
        )
        runner, attempt = await harness.start()
        attempt.fail(Failure(Cause.AUTH, "no key", str(host[0]), files=(str(key), "/not/read")))
        await wait_for_state(runner, "blocked")
        await harness.clock.advance(10)
        assert harness.pool.pending_attempts == []

        key.write_text("here it is")
        await harness.clock.advance(1)

        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")
        assert f"{key} changed: trying again" in harness.log.getvalue()


async def test_a_blocked_tunnel_retries_at_once_when_ssh_config_changes(tmp_path: Path) -> None:
    config = tmp_path / "config"
    async with runner_harness() as harness:
        harness.host_resolver.files = (str(config),)
        harness.host_resolver.error = SshConfigError("Bad configuration option: foo", "fix line 3")
        runner = harness.runner()
        runner.send(Start())
        await wait_for_state(runner, "blocked")

        config.write_text("Host relay\n")
        harness.host_resolver.error = None
        await harness.clock.advance(1)

        attempt = await harness.next_attempt()
        assert harness.host_resolver.forgotten == 1
        assert f"{config} changed: trying again" in harness.log.getvalue()
        attempt.fail(DENIED)  # ssh_config may also name other keys
        await wait_for_state(runner, "blocked")
        config.write_text("Host relay\n  IdentityFile other\n")
        await harness.clock.advance(1)

        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")


async def test_a_blocked_tunnel_retries_when_the_clock_reaches_a_validity() -> None:
    async with runner_harness() as harness:
        harness.clock.wall_offset = -56 * 365.25 * 86400
        runner, attempt = await harness.start()
        validity = (NOON.timestamp() - 3600, NOON.timestamp() + 3600)
        failure = Failure(Cause.HOST_KEY_UNKNOWN, "not yet", certificate_validity=validity)
        attempt.fail(failure)
        await wait_for_state(runner, "blocked")
        await harness.clock.advance(10)
        assert harness.pool.pending_attempts == []

        harness.clock.wall_offset = 0
        await harness.clock.advance(1)

        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")
        assert "a certificate has become valid: trying again" in harness.log.getvalue()


async def test_a_tunnel_that_gave_up_does_not_announce_a_retry(tmp_path: Path) -> None:
    config = tmp_path / "config"
    async with runner_harness() as harness:
        harness.host_resolver.files = (str(config),)
        runner, attempt = await harness.start(make_tunnel(max_attempts=1))
        attempt.fail(DENIED)
        await wait_for_state(runner, "blocked")

        config.write_text("Host relay\n")
        await harness.clock.advance(10)

        assert harness.pool.pending_attempts == []
        assert "trying again" not in harness.log.getvalue()


async def test_a_file_change_during_the_attempt_triggers_a_retry(tmp_path: Path) -> None:
    key = tmp_path / "id_ed25519"
    async with runner_harness() as harness:
        harness.host_resolver.chains["db"] = (replace(make_host(), identity_files=(str(key),)),)
        runner, attempt = await harness.start()

        key.write_text("just too late")
        attempt.fail(Failure(Cause.AUTH, "no key", files=(str(key),)))

        await until(lambda: len(harness.pool.attempts) == 2)
        assert snapshot_of(runner).state == "connecting"


@pytest.mark.parametrize("event", [Start(), Restart(), RetryNow()])
@pytest.mark.parametrize("failure", [REFUSED, DENIED], ids=["backoff", "blocked"])
async def test_an_event_can_end_a_retry_delay_at_once(
    event: Start | Restart | RetryNow, failure: Failure
) -> None:
    async with runner_harness() as harness:
        runner, attempt = await harness.start()
        attempt.fail(failure)
        await until(lambda: runner.last_failure is not None)

        runner.send(event)

        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")


async def test_the_jump_hosts_are_logged() -> None:
    async with runner_harness() as harness:
        harness.host_resolver.chains["db"] = (make_host("bastion"), make_host("relay"))

        await harness.connect()

        message = "up: me@relay:22 via me@bastion:22 (aes128-gcm@openssh.com)"
        assert message in harness.log.getvalue()


async def test_a_restart_closes_the_connection_and_opens_another() -> None:
    async with runner_harness() as harness:
        runner, connection = await harness.connect()

        runner.send(Restart())

        attempt = await harness.next_attempt()
        assert connection.is_closed
        attempt.succeed()
        await wait_for_state(runner, "up")
        assert snapshot_of(runner).restarts == 1


async def test_only_a_wanted_tunnel_reconnects() -> None:
    async with runner_harness() as harness:
        stopped = harness.runner(make_tunnel("idle"))
        stopped.send(HostChanged())
        await settle()
        assert harness.pool.attempts == []

        runner, connection = await harness.connect()
        runner.send(HostChanged())
        await harness.next_attempt()
        assert connection.is_closed


async def test_a_host_change_right_after_a_stop_does_not_start_the_tunnel() -> None:
    async with runner_harness() as harness:
        runner, connection = await harness.connect()

        runner.send(Stop())
        runner.send(HostChanged())
        await wait_for_state(runner, "stopped")

        await settle()
        assert connection.is_closed
        assert harness.pool.pending_attempts == []


async def test_a_stopped_tunnel_shows_no_failure() -> None:
    async with runner_harness() as harness:
        runner, attempt = await harness.start()
        attempt.fail(DENIED)
        await wait_for_state(runner, "blocked")
        assert failure_of(runner) == "auth"

        runner.send(Stop())
        await wait_for_state(runner, "stopped")

        assert failure_of(runner) is None


async def test_messages_of_the_connection_attempt_are_logged() -> None:
    async with runner_harness() as harness:
        _, attempt = await harness.start()

        attempt.progress.debug("offering a key")
        attempt.progress.info("the host key was written down")
        attempt.progress.warn("known_hosts:3: malformed")
        attempt.progress.warn("known_hosts:3: malformed")

        lines = [(r.level, r.message) for r in harness.event_log.tail("db", 3)]
        assert lines == [
            ("debug", "offering a key"),
            ("info", "the host key was written down"),
            ("warning", "known_hosts:3: malformed"),
        ]


async def test_an_unresolvable_ssh_config_blocks_the_tunnel() -> None:
    async with runner_harness() as harness:
        harness.host_resolver.error = SshConfigError("Bad configuration option: foo", "fix line 3")
        runner = harness.runner()
        runner.send(Start())
        await wait_for_state(runner, "blocked")

        failure = snapshot_of(runner).failure
        assert failure is not None
        assert (failure.cause, failure.hint) == ("ssh_config", "fix line 3")
        assert harness.pool.attempts == []


async def test_a_temporary_dns_failure_leads_to_backoff() -> None:
    async with runner_harness() as harness:
        harness.host_resolver.error = SshConfigError("Could not resolve host", temporary=True)
        runner = harness.runner()
        runner.send(Start())

        await wait_for_state(runner, "backoff")

        assert failure_of(runner) == UNRESOLVED.cause


async def test_an_internal_error_ends_only_its_session(caplog: pytest.LogCaptureFixture) -> None:
    async with runner_harness() as harness:
        harness.host_resolver.error = RuntimeError("\x1b[31munexpected error")
        runner = harness.runner()
        runner.send(Start())
        await wait_for_state(runner, "backoff")

        failure = snapshot_of(runner).failure
        assert failure is not None
        assert failure.message == r"internal error: RuntimeError('\x1b[31munexpected error')"
        assert "tunnel db: the session failed" in caplog.text

        harness.host_resolver.error = None
        await harness.clock.advance(2)
        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")


async def test_an_internal_error_during_the_close_ends_the_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with runner_harness() as harness:
        runner, connection = await harness.connect()
        harness.pool.close_error = RuntimeError("unexpected error")

        connection.lose(LOST)
        await wait_for_state(runner, "backoff")

        assert "tunnel db: the session failed" in caplog.text
        assert failure_of(runner) == "protocol"
