"""One config file has one supervisor, wherever its control socket is."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, tunnel_table
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.e2e.program import Program


@pytest.fixture
def program(sandbox: Sandbox) -> Program:
    """Return a program whose tunnels cannot connect: nothing listens on their server's port."""
    nowhere = free_port()
    return sandbox.program(
        *(
            tunnel_table(name, nowhere, f'socks = "{free_port()}"', 'groups = ["all"]')
            for name in ("one", "two", "three")
        )
    )


@contextmanager
def running(program: Program, path: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a supervisor on a socket of its own."""
    process = program.spawn("--socket", path, *arguments)
    try:
        wait_until(lambda: program.answers(path), message=program.log)
        yield process
    finally:
        process.terminate()
        process.wait()


def pid_of_status(program: Program, *options: str) -> int:
    pid = json.loads(program.run(*options, "status", "--json").stdout)["supervisor"]["pid"]
    assert isinstance(pid, int)
    return pid


def test_cron_and_su_find_the_supervisor_of_a_session(program: Program) -> None:
    pid = program.up().pid
    del program.environment["XDG_RUNTIME_DIR"]

    assert pid_of_status(program) == pid
    assert program.run("up", "one", "--no-wait").returncode == 0
    assert "reload" not in program.succeed("reload")
    assert program.succeed("down") == "the supervisor has ended\n"
    assert program.wait_for_exit() == 0


def test_a_session_finds_the_supervisor_that_cron_started(program: Program) -> None:
    runtime_directory = program.environment.pop("XDG_RUNTIME_DIR")
    process = program.spawn("up")
    try:
        wait_until(lambda: program.answers("state/tunnelkeeper/control.sock"))
        program.environment["XDG_RUNTIME_DIR"] = runtime_directory

        assert pid_of_status(program) == process.pid
        detached = program.run("up", "--detach", "--timeout", "0")
        assert "refused" in detached.stderr or "connecting" in detached.stderr
        program.succeed("down")
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("arguments", [["up"], ["up", "one"], ["up", "--group", "all"]])
def test_a_second_supervisor_of_the_same_file_is_refused(
    program: Program, arguments: list[str]
) -> None:
    pid = program.up().pid
    link = program.home / "link.toml"
    link.symlink_to(program.config)
    for options in (["--socket", "other.sock"], ["--config", str(link), "--socket", "other.sock"]):
        done = program.run(*options, *arguments)

        assert done.returncode == 1
        assert f"is held by the supervisor with process id {pid} at {program.socket}" in done.stderr
    assert program.status().supervisor.pid == pid


def test_a_second_file_has_its_own_supervisor(program: Program) -> None:
    program.up()
    copy = program.home / "copy.toml"
    copy.write_text(program.config.read_text())

    with running(program, "run/other.sock", "--config", str(copy), "up") as process:
        assert pid_of_status(program, "--config", str(copy), "--socket", "run/other.sock") == (
            process.pid
        )


def test_single_tunnels_may_have_supervisors_of_their_own(program: Program) -> None:
    with (
        running(program, "run/1.sock", "up", "one") as one,
        running(program, "run/2.sock", "up", "two", "three") as two,
    ):
        again = program.run("--socket", "run/3.sock", "up", "three")
        of_another = program.run("--socket", "run/1.sock", "up", "two", "--no-wait")
        restarted = program.run("--socket", "run/1.sock", "restart", "two")
        whole = program.run("up")

    assert again.returncode == whole.returncode == 1
    assert of_another.returncode == restarted.returncode == 1
    assert f"'three' of {program.config} is held by" in again.stderr
    assert f"with process id {two.pid}" in again.stderr
    assert "'two'" in of_another.stderr
    assert "'two'" in restarted.stderr
    for name, process in (("one", one), ("two", two), ("three", two)):
        assert f"'{name}' by the supervisor with process id {process.pid}" in whole.stderr
    program.up()


def test_the_claim_ends_with_its_process(program: Program) -> None:
    program.up()
    program.kill()

    with running(program, "run/other.sock", "up"):
        pass


def test_a_state_folder_that_cannot_be_written_prevents_no_start(program: Program) -> None:
    (program.home / "state").write_text("in the way")

    program.up()

    assert "a second supervisor of this file would not be noticed" in program.log()
