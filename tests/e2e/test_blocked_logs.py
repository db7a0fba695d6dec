"""Logs on FIFOs, full pipes and full disks. They delay neither tunnels nor signals."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import pytest

from tests.e2e.autossh_program import (
    RECOVERY_TIMEOUT,
    autossh,
    own_autossh,
    ssh_config,
)
from tests.e2e.clients import exchange, is_listening
from tests.e2e.ports import free_port
from tests.e2e.program import COMMAND
from tests.e2e.relay import Relay
from tests.e2e.sandbox import USER
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox


def fifo(sandbox: Sandbox) -> Path:
    path = sandbox.directory / "fifo"
    os.mkfifo(path)
    return path


def full_pipe() -> tuple[int, int]:
    """Create a pipe with no room left. Return its ends."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, size * b"x")
    os.set_blocking(writing, True)
    return reading, writing


@pytest.mark.parametrize("variable", ["LOGFILE", "PIDFILE"])
def test_a_fifo_without_a_reader_does_not_stop_the_program(variable: str, sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    run = autossh(sandbox, server, "-M 0 -N box", {variable: str(fifo(sandbox))})

    wait_until(lambda: server.logins() == 1, within=RECOVERY_TIMEOUT)
    run.process.send_signal(signal.SIGTERM)
    assert run.exit_code() == 1


@pytest.mark.parametrize("line", ["-M 0 -vv -N -E {fifo} box", "-M 0 -f -vv -N -E {fifo} box"])
def test_a_fifo_for_the_messages_of_ssh_does_not_stop_the_program(
    line: str, sandbox: Sandbox
) -> None:
    server = sandbox.sshd()
    run = autossh(sandbox, server, line.format(fifo=fifo(sandbox)))

    wait_until(lambda: server.logins() == 1, within=RECOVERY_TIMEOUT)
    run.signal(signal.SIGTERM)
    wait_until(lambda: not run.pid_file.exists(), within=RECOVERY_TIMEOUT)


def test_a_reader_of_the_fifo_gets_the_whole_log(sandbox: Sandbox) -> None:
    path = fifo(sandbox)
    server = sandbox.sshd()
    run = autossh(sandbox, server, "-M 0 -N box", {"LOGFILE": str(path), "GATETIME": "0"})
    wait_until(lambda: server.logins() == 1, within=RECOVERY_TIMEOUT)

    with path.open() as reader:
        assert "port set to 0" in reader.readline()
        run.signal(signal.SIGTERM)
        assert run.exit_code() == 1
        assert "received signal to exit (15)" in reader.read()


def test_the_background_process_writes_to_a_fifo_that_had_no_reader(sandbox: Sandbox) -> None:
    path, server = fifo(sandbox), sandbox.sshd()
    run = autossh(sandbox, server, "-M 0 -f -N box", {"LOGFILE": str(path)})
    assert run.exit_code() == 0
    wait_until(lambda: server.logins() == 1, within=RECOVERY_TIMEOUT)

    with path.open() as reader:
        assert f"autossh[{run.pid()}]: starting ssh (count 1)" in read_until(reader, "starting ssh")
        run.signal(signal.SIGTERM)
        assert "received signal to exit (15)" in reader.read()


def read_until(reader: TextIO, text: str) -> str:
    """Return the first line with a text."""
    return next(line for line in reader if text in line)


def test_a_full_disk_does_not_stop_the_program(sandbox: Sandbox) -> None:
    server, log = sandbox.sshd(), sandbox.directory / "log"
    log.symlink_to("/dev/full")
    run = autossh(sandbox, server, "-M 0 -N box", {"LOGFILE": str(log), "GATETIME": "0"})
    wait_until(lambda: server.logins() == 1, within=RECOVERY_TIMEOUT)
    run.signal(signal.SIGTERM)

    assert run.exit_code() == 1


@contextmanager
def with_full_stderr(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program whose standard error is a full pipe. Its log would block it."""
    reading, writing = full_pipe()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=writing,
        env={**os.environ, **environment},
    )
    os.close(writing)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        os.close(reading)


@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_a_full_pipe_as_standard_error_does_not_stop_autossh(
    strict: list[str], sandbox: Sandbox
) -> None:
    server, target, port = sandbox.sshd(), sandbox.service(echo).port, free_port()
    command = [str(own_autossh(sandbox.directory)), *strict, "-M", "0", "-vvv"]
    command += ["-F", str(ssh_config(sandbox, server)), "-L", f"{port}:127.0.0.1:{target}"]
    with with_full_stderr(*command, "-N", "box") as process:
        wait_until(lambda: server.logins() == 1, within=RECOVERY_TIMEOUT)
        wait_until(lambda: is_listening(port), within=RECOVERY_TIMEOUT)
        assert exchange(port, b"hello") == b"hello"
        process.terminate()
        assert process.wait(RECOVERY_TIMEOUT) == 1


def test_a_full_pipe_as_standard_error_does_not_stop_the_supervisor(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    table = f"""\
[tunnels.db]
host = "{USER}@127.0.0.1:{server.port}"
local = "{free_port()}:127.0.0.1:1"
"""
    program = sandbox.program(table)
    with with_full_stderr(*COMMAND, "up", **program.environment) as process:
        wait_until(program.socket.exists, within=RECOVERY_TIMEOUT)
        program.succeed("wait", "db", "--timeout", "30")
        program.succeed("restart", "db")
        program.succeed("wait", "db", "--timeout", "30")
        process.terminate()
        assert process.wait(RECOVERY_TIMEOUT) == 0


def test_a_full_pipe_as_standard_error_does_not_stop_the_relay(sandbox: Sandbox) -> None:
    relay = Relay(sandbox.subdirectory("relay"), sandbox.authorized_keys)
    with with_full_stderr(*relay.serve_command) as process:
        wait_until(lambda: is_listening(relay.port), within=RECOVERY_TIMEOUT)
        for _ in range(3):
            subprocess.run(
                ["ssh", "-F", "none", "-p", str(relay.port), "-o", "BatchMode=yes", "127.0.0.1"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        assert relay.status() is not None
        process.terminate()
        assert process.wait(RECOVERY_TIMEOUT) == 0
