"""Commands that fail. tests/e2e compares those that work with ssh."""

from __future__ import annotations

import errno
import os

import pytest

from tunnelkeeper.core.configuration import Host
from tunnelkeeper.core.failures import Cause, Failure, FailureError
from tunnelkeeper.ssh.auth import known_hosts_command
from tunnelkeeper.ssh.auth.known_hosts_command import run_known_hosts_command


def shell(script: str) -> Host:
    return Host("relay", "relay", "me", known_hosts_command=("/bin/sh", "-c", script))


async def failure_of(host: Host) -> Failure:
    with pytest.raises(FailureError) as failed:
        await run_known_hosts_command(host, "relay", "HOSTNAME")
    assert failed.value.failure.cause is Cause.PROXY
    return failed.value.failure


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "exit status 3"),
        ("echo first >&2; echo last >&2; exit 1", "exit status 1, last"),
        ("printf '\\33[2J' >&2; exit 1", "exit status 1, \\x1b[2J"),
        ("kill -KILL $$", "it was ended by signal 9"),
        ("true \0", "/bin/sh: embedded null byte"),
    ],
)
async def test_the_reason_of_a_command_that_fails_is_named(script: str, reason: str) -> None:
    failure = await failure_of(shell(script))

    assert failure.message == f"known_hosts_command failed: {reason}"


async def test_a_command_that_cannot_be_started_for_now_is_no_failed_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object, **_options: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(known_hosts_command._Run, "start", fail)

    with pytest.raises(OSError, match="Too many open files"):
        await failure_of(shell("exit 0"))


async def test_a_command_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_hosts_command, "COMMAND_TIMEOUT", 0.1)

    assert "more than 0.1 s" in (await failure_of(shell("sleep 60"))).message


async def test_a_command_that_prints_too_much_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_hosts_command, "OUTPUT_LIMIT", 0)

    failure = await failure_of(shell("while :; do echo relay ssh-ed25519 AAAA; done"))

    assert "printed more than" in failure.message


def test_what_a_command_prints_beyond_the_limit_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_hosts_command, "OUTPUT_LIMIT", 3)
    run = known_hosts_command._Run()
    for _ in range(5):
        run.pipe_data_received(1, b"1234")

    assert run.output == b"1234"
