"""A tunnel's life: up, lost, tried again, blocked, stopped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.fake_clock import settled, until
from tests.tunnel.fake_ssh import DENIED, LOST, REFUSED, UNRESOLVED, a_host
from tests.tunnel.harness import a_stage, a_tunnel, becomes, snapshot_of
from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.lifecycle import HostChanged, Restart, RetryNow, Start, Stop
from tunnelkeeper.sshconfig import SshConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.tunnel.runner import Runner


def the_failure_of(runner: Runner) -> str | None:
    failure = snapshot_of(runner).failure
    return failure.cause if failure else None


async def test_a_tunnel_that_is_started_comes_up() -> None:
    async with a_stage() as stage:
        runner, attempt = await stage.started()
        assert snapshot_of(runner).state == "connecting"

        attempt.succeeds()
        await becomes(runner, "up")

        assert stage.ups == ["db"]
        assert "info    db: connecting" in stage.log.getvalue()
        assert "db: up: me@relay:22 (aes128-gcm@openssh.com)" in stage.log.getvalue()


async def test_a_server_that_refuses_is_tried_again_after_the_wait_of_the_policy() -> None:
    async with a_stage() as stage:
        runner, attempt = await stage.started()
        for wait in (2, 4, 5, 5):  # the cap of what asks nothing of the server
            attempt.fails(REFUSED)
            await becomes(runner, "backoff")

            await stage.clock.passes(wait - 0.001)
            assert stage.far.under_way == []

            await stage.clock.passes(0.002)
            attempt = await stage.attempt()

        attempt.succeeds()
        await becomes(runner, "up")
        assert "up: me@relay:22 (aes128-gcm@openssh.com) after 4 failed attempts" in (
            stage.log.getvalue()
        )


async def test_a_connection_that_ends_leads_to_backoff_and_its_cause_is_shown() -> None:
    async with a_stage() as stage:
        runner, connection = await stage.connected()

        connection.ends(LOST)
        await becomes(runner, "backoff")

        assert the_failure_of(runner) == "lost"
        assert snapshot_of(runner).hops[0].connected is False
        await stage.clock.passes(2)
        (await stage.attempt()).succeeds()
        await becomes(runner, "up")
        assert the_failure_of(runner) is None
        assert snapshot_of(runner).restarts == 1


async def test_the_attempts_are_forgotten_only_after_the_gate_time() -> None:
    async with a_stage() as stage:
        runner, attempt = await stage.started(a_tunnel(gate_time=30))
        attempt.fails(LOST)
        await becomes(runner, "backoff")
        await stage.clock.passes(2)
        (await stage.attempt()).succeeds()
        await becomes(runner, "up")

        await stage.clock.passes(29)
        assert snapshot_of(runner).attempt == 1
        await stage.clock.passes(1)
        assert snapshot_of(runner).attempt == 0


async def test_a_deadline_that_comes_early_comes_again() -> None:
    async with a_stage() as stage:
        runner, attempt = await stage.started()
        attempt.fails(REFUSED)
        await becomes(runner, "backoff")
        [timer] = stage.clock.timers

        timer.comes()
        await stage.clock.passes(1.9)
        assert stage.far.under_way == []

        await stage.clock.passes(0.1)
        await stage.attempt()


async def test_max_attempts_leave_it_to_a_person() -> None:
    async with a_stage() as stage:
        runner, attempt = await stage.started(a_tunnel(max_attempts=2))
        attempt.fails(REFUSED)
        await becomes(runner, "backoff")
        await stage.clock.passes(2)
        (await stage.attempt()).fails(REFUSED)
        await becomes(runner, "blocked")

        await stage.clock.passes(86400)
        runner.send(RetryNow())
        await settled()
        assert the_failure_of(runner) == "too_many_attempts"
        assert snapshot_of(runner).retry_at is None
        assert stage.far.under_way == []

        runner.send(Start())
        (await stage.attempt()).succeeds()
        await becomes(runner, "up")


async def test_a_blocked_tunnel_is_tried_again_every_five_minutes() -> None:
    async with a_stage() as stage:
        runner, attempt = await stage.started()
        attempt.fails(DENIED)
        await becomes(runner, "blocked")

        await stage.clock.passes(299)
        assert stage.far.under_way == []

        await stage.clock.passes(1)
        await stage.attempt()


async def test_a_blocked_tunnel_is_tried_at_once_when_the_file_at_fault_changes(
    tmp_path: Path,
) -> None:
    key = tmp_path / "id_ed25519"
    async with a_stage() as stage:
        host = stage.finder.ways["db"] = (replace(a_host(), identity_files=(str(key),)),)
        runner, attempt = await stage.started()
        attempt.fails(Failure(Cause.AUTH, "no key", str(host[0]), files=(str(key), "/not/read")))
        await becomes(runner, "blocked")
        await stage.clock.passes(10)
        assert stage.far.under_way == []

        key.write_text("here it is")
        await stage.clock.passes(1)

        (await stage.attempt()).succeeds()
        await becomes(runner, "up")
        assert "a key or known_hosts file changed: trying again" in stage.log.getvalue()


async def test_a_file_that_changed_during_the_attempt_itself_counts(tmp_path: Path) -> None:
    key = tmp_path / "id_ed25519"
    async with a_stage() as stage:
        stage.finder.ways["db"] = (replace(a_host(), identity_files=(str(key),)),)
        runner, attempt = await stage.started()

        key.write_text("just too late")
        attempt.fails(Failure(Cause.AUTH, "no key", files=(str(key),)))

        await until(lambda: len(stage.far.attempts) == 2)
        assert snapshot_of(runner).state == "connecting"


@pytest.mark.parametrize("event", [Start(), Restart(), RetryNow()])
@pytest.mark.parametrize("failure", [REFUSED, DENIED], ids=["backoff", "blocked"])
async def test_a_wait_ends_at_once_when_somebody_says_so(
    event: Start | Restart | RetryNow, failure: Failure
) -> None:
    async with a_stage() as stage:
        runner, attempt = await stage.started()
        attempt.fails(failure)
        await until(lambda: runner.last_failure is not None)

        runner.send(event)

        (await stage.attempt()).succeeds()
        await becomes(runner, "up")


async def test_the_way_through_jump_hosts_is_told() -> None:
    async with a_stage() as stage:
        stage.finder.ways["db"] = (a_host("bastion"), a_host("relay"))

        await stage.connected()

        words = "up: me@relay:22 via me@bastion:22 (aes128-gcm@openssh.com)"
        assert words in stage.log.getvalue()


async def test_a_restart_closes_the_connection_and_opens_another() -> None:
    async with a_stage() as stage:
        runner, connection = await stage.connected()

        runner.send(Restart())

        attempt = await stage.attempt()
        assert connection.is_closed
        attempt.succeeds()
        await becomes(runner, "up")
        assert snapshot_of(runner).restarts == 1


async def test_only_a_wanted_tunnel_connects_anew() -> None:
    async with a_stage() as stage:
        stopped = stage.runner(a_tunnel("idle"))
        stopped.send(HostChanged())
        await settled()
        assert stage.far.attempts == []

        runner, connection = await stage.connected()
        runner.send(HostChanged())
        await stage.attempt()
        assert connection.is_closed


async def test_a_stop_is_not_overtaken_by_another_way_that_comes_right_after_it() -> None:
    async with a_stage() as stage:
        runner, connection = await stage.connected()

        runner.send(Stop())
        runner.send(HostChanged())
        await becomes(runner, "stopped")

        await settled()
        assert connection.is_closed
        assert stage.far.under_way == []


async def test_a_stopped_tunnel_shows_no_failure_any_more() -> None:
    async with a_stage() as stage:
        runner, attempt = await stage.started()
        attempt.fails(DENIED)
        await becomes(runner, "blocked")
        assert the_failure_of(runner) == "auth"

        runner.send(Stop())
        await becomes(runner, "stopped")

        assert the_failure_of(runner) is None


async def test_what_the_way_to_the_server_says_is_logged() -> None:
    async with a_stage() as stage:
        _, attempt = await stage.started()

        attempt.report.debug("offering a key")
        attempt.report.info("the host key was written down")
        attempt.report.warn("known_hosts:3: malformed")
        attempt.report.warn("known_hosts:3: malformed")

        lines = [(r.level, r.message) for r in stage.journal.tail("db", 3)]
        assert lines == [
            ("debug", "offering a key"),
            ("info", "the host key was written down"),
            ("warning", "known_hosts:3: malformed"),
        ]


async def test_a_host_that_cannot_be_looked_up_blocks_the_tunnel() -> None:
    async with a_stage() as stage:
        stage.finder.error = SshConfigError("Bad configuration option: foo", "mend line 3")
        runner = stage.runner()
        runner.send(Start())
        await becomes(runner, "blocked")

        failure = snapshot_of(runner).failure
        assert failure is not None
        assert (failure.cause, failure.hint) == ("ssh_config", "mend line 3")
        assert stage.far.attempts == []


async def test_a_name_server_that_is_away_is_waited_for() -> None:
    async with a_stage() as stage:
        stage.finder.error = SshConfigError("Could not resolve host", temporary=True)
        runner = stage.runner()
        runner.send(Start())

        await becomes(runner, "backoff")

        assert the_failure_of(runner) == UNRESOLVED.cause


async def test_an_internal_fault_ends_its_session_only(caplog: pytest.LogCaptureFixture) -> None:
    async with a_stage() as stage:
        stage.finder.error = RuntimeError("\x1b[31mnobody foresaw this")
        runner = stage.runner()
        runner.send(Start())
        await becomes(runner, "backoff")

        failure = snapshot_of(runner).failure
        assert failure is not None
        assert failure.message == r"internal error: RuntimeError('\x1b[31mnobody foresaw this')"
        assert "tunnel db: the session failed" in caplog.text

        stage.finder.error = None
        await stage.clock.passes(2)
        (await stage.attempt()).succeeds()
        await becomes(runner, "up")


async def test_an_internal_fault_while_a_session_closes_ends_it_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with a_stage() as stage:
        runner, connection = await stage.connected()
        stage.far.fault_of_closing = RuntimeError("nobody foresaw this")

        connection.ends(LOST)
        await becomes(runner, "backoff")

        assert "tunnel db: the session failed" in caplog.text
        assert the_failure_of(runner) == "protocol"
