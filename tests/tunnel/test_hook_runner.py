"""Hooks of a tunnel: nothing that their programs do affects it."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.fake_clock import DEADLINE, LONGER_THAN_ANY_STALL
from tests.tunnel.harness import RunnerHarness, make_tunnel, runner_harness, wait_for_state
from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.lifecycle import Stop
from tunnelkeeper.net.child_process import program_path
from tunnelkeeper.net.start_limiter import StartLimiter
from tunnelkeeper.tunnel.hook_runner import HookRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AWKWARD = "; rm -rf / $(id) `id` \"quoted\" 'too' \\n \N{SNOWMAN}"


async def until_true(condition: Callable[[], object]) -> None:
    """Wait until a condition that another process changes is true."""
    async with asyncio.timeout(6 * DEADLINE):
        while not condition():  # noqa: ASYNC110  another process cannot set an event
            await asyncio.sleep(0.01)


def python(*lines: str) -> tuple[str, ...]:
    """Return the command of a hook written in Python."""
    return (sys.executable, "-c", "\n".join(lines))


@contextmanager
def no_more_files() -> Iterator[None]:
    """Leave no free file descriptor in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def log_of(harness: RunnerHarness) -> str:
    return harness.log.getvalue()


async def test_special_characters_reach_a_hook_unchanged(tmp_path: Path) -> None:
    record = tmp_path / "record"
    command = python(
        "import json, os, sys",
        f"with open({str(record)!r}, 'w') as file:",
        "    json.dump([os.environ['TUNNELKEEPER_MESSAGE'], sys.argv[1:]], file)",
    )
    async with runner_harness() as harness:
        tunnel = make_tunnel(on_down=(*command, AWKWARD, "two\nlines", ""))
        hooks = HookRunner(harness.event_log, harness.context.hook_limiter)

        hooks.on_state(tunnel, "up", None, harness.tasks)
        hooks.on_state(tunnel, "backoff", Failure(Cause.LOST, AWKWARD), harness.tasks)

        await until_true(lambda: record.exists() and record.stat().st_size)
    assert json.loads(record.read_text()) == [AWKWARD, [AWKWARD, "two\nlines", ""]]


async def test_a_runner_runs_hooks_when_it_comes_up_and_goes_down() -> None:
    say = python("import os", "print(os.environ['TUNNELKEEPER_STATE'])")
    async with runner_harness() as harness:
        runner, _ = await harness.connect(make_tunnel(on_up=say, on_down=say))
        await until_true(lambda: "on_up: up" in log_of(harness))

        runner.send(Stop())
        await wait_for_state(runner, "stopped")

        await until_true(lambda: "on_down: stopping" in log_of(harness))


async def test_without_free_descriptors_a_hook_is_logged_and_the_next_one_runs() -> None:
    async with runner_harness() as harness:
        tunnel = make_tunnel(on_up=python("print('up')"), on_down=python("print('down')"))
        hooks = HookRunner(harness.event_log, harness.context.hook_limiter)
        with no_more_files():
            hooks.on_state(tunnel, "up", None, harness.tasks)
            for _ in range(20):
                await asyncio.sleep(0)
        assert "on_up: " in log_of(harness)
        assert "cannot be started: Too many open files" in log_of(harness)

        hooks.on_state(tunnel, "backoff", None, harness.tasks)

        await until_true(lambda: "on_down: down" in log_of(harness))


async def test_the_output_and_exit_status_of_a_hook_are_logged() -> None:
    async with runner_harness() as harness:
        hooks = HookRunner(harness.event_log, harness.context.hook_limiter)
        killed = python("import os, signal", "os.kill(os.getpid(), signal.SIGKILL)")
        spoken = python("import os", "os.write(1, b'no end \\xff\\x1b[0m')", "os._exit(3)")

        hooks.on_state(make_tunnel(on_up=spoken), "up", None, harness.tasks)
        await until_true(lambda: "on_up: ended with exit status 3" in log_of(harness))
        hooks.on_state(make_tunnel(on_down=killed), "backoff", None, harness.tasks)
        await until_true(lambda: "on_down: ended by signal 9" in log_of(harness))

    assert "on_up: no end \N{REPLACEMENT CHARACTER}\\x1b[0m" in log_of(harness)


async def test_the_hooks_of_all_tunnels_share_a_limit() -> None:
    async with runner_harness() as harness:
        limiter = StartLimiter(1, LONGER_THAN_ANY_STALL)
        hooks = HookRunner(harness.event_log, limiter)
        async with limiter.slot():
            hooks.on_state(make_tunnel(on_up=python("print('up')")), "up", None, harness.tasks)
            for _ in range(20):
                await asyncio.sleep(0)
            assert log_of(harness) == ""

        await until_true(lambda: "on_up: up" in log_of(harness))


async def test_hooks_that_hang_do_not_hold_up_the_hook_of_another_tunnel() -> None:
    async with runner_harness() as harness:
        limiter = StartLimiter(2, 0.05)
        hanging = make_tunnel(on_up=("sleep", "600"))
        crowd = [HookRunner(harness.event_log, limiter) for _ in range(6)]
        for hooks in crowd:
            hooks.on_state(hanging, "up", None, harness.tasks)

        last = HookRunner(harness.event_log, limiter)
        last.on_state(make_tunnel(on_up=python("print('up')")), "up", None, harness.tasks)

        await until_true(lambda: "on_up: up" in log_of(harness))
        assert "on_up: ended" not in log_of(harness)
        for hooks in crowd:
            hooks.end_on_up()
        await until_true(lambda: log_of(harness).count("on_up: ended") == 6)


async def test_an_on_up_hook_that_starts_during_shutdown_is_ended() -> None:
    async with runner_harness() as harness:
        hooks = HookRunner(harness.event_log, harness.context.hook_limiter)
        tunnel = make_tunnel(on_up=python("input()", "import time", "time.sleep(600)"))

        hooks.on_state(tunnel, "up", None, harness.tasks)
        hooks.end_on_up()

        await until_true(lambda: "on_up: ended" in log_of(harness))


@pytest.mark.parametrize(
    ("program", "path"),
    [("notify", "notify"), ("/bin/sh", "/bin/sh"), ("./~", "./~")],
)
def test_a_program_path_without_a_tilde_is_unchanged(program: str, path: str) -> None:
    assert program_path(program) == path


def test_a_leading_tilde_is_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    assert program_path("~/bin/hook") == "/home/me/bin/hook"
    with pytest.raises(OSError, match="home"):
        program_path("~no-such-user-here/bin/hook")
