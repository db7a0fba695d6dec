"""autossh command lines that run a command, a shell, a subsystem, a stream or a mount."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.autossh_program import (
    KEEPALIVES,
    RECOVERY_TIMEOUT,
    autossh,
    own_autossh,
    restart,
    run,
    ssh_config,
)
from tests.e2e.clients import MEGABYTE, blob
from tests.e2e.sandbox import USER, Sandbox
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.sshd import Sshd


@pytest.fixture(scope="module")
def server(shared_sandbox: Sandbox) -> Sshd:
    return shared_sandbox.sshd(Subsystem="sftp internal-sftp")


def test_a_command_gets_the_standard_streams(shared_sandbox: Sandbox, server: Sshd) -> None:
    done = run(shared_sandbox, server, "-M 0 box 'cat; echo no >&2'", b"yes")

    assert (done.returncode, done.stdout) == (0, b"yes")
    assert b"no\n" in done.stderr


def test_a_command_may_be_in_any_encoding(shared_sandbox: Sandbox, server: Sshd) -> None:
    command = os.fsdecode("printf %s Zürich".encode("latin-1"))
    done = run(shared_sandbox, server, f"-M 0 box '{command}'")
    by_ssh = subprocess.run(
        shared_sandbox.ssh(server.port, "127.0.0.1", command), capture_output=True, check=True
    )

    assert done.returncode == 0
    assert done.stdout == by_ssh.stdout == "Zürich".encode("latin-1")


def test_the_output_of_a_command_is_complete_before_its_status(
    shared_sandbox: Sandbox, server: Sshd
) -> None:
    data = blob(8 * MEGABYTE)

    done = run(shared_sandbox, server, "-M 0 box 'cat; exec >&-; exit 0'", data)

    assert done.returncode == 0
    assert done.stdout == data


@pytest.mark.parametrize(("status", "code"), [(0, 0), (3, 1), (127, 1)])
def test_the_exit_code_follows_the_status_of_the_command(
    status: int, code: int, shared_sandbox: Sandbox, server: Sshd
) -> None:
    assert run(shared_sandbox, server, f"-M 0 box exit {status}").returncode == code


def test_a_shell_reads_commands(shared_sandbox: Sandbox, server: Sshd) -> None:
    done = run(shared_sandbox, server, f"-M 0 {KEEPALIVES} {USER}@example.com", b"echo $((6*7))\n")

    assert done.stdout == b"42\n"


def test_option_n_reads_no_input(shared_sandbox: Sandbox, server: Sshd) -> None:
    assert run(shared_sandbox, server, "-M 0 -n box cat", b"unread").stdout == b""


def test_environment_variables_are_sent(shared_sandbox: Sandbox) -> None:
    server = shared_sandbox.sshd(AcceptEnv="MODE TONE")
    line = "-M 0 -o SendEnv=MODE -o SetEnv=TONE=low box 'echo $MODE $TONE'"

    assert run(shared_sandbox, server, line, MODE="fast").stdout == b"fast low\n"


def test_option_w_connects_the_streams_to_a_target(shared_sandbox: Sandbox, server: Sshd) -> None:
    target = shared_sandbox.service(echo)

    done = run(shared_sandbox, server, f"-M 0 -W {target} box", b"data")

    assert done.stdout == b"data"
    assert done.returncode == 0


def test_sftp_works_through_it(shared_sandbox: Sandbox, server: Sshd) -> None:
    wrapper = shared_sandbox.directory / "wrapper"
    wrapper.write_text(f'#!/bin/sh\nexec {own_autossh(shared_sandbox.directory)} -M 0 "$@"\n')
    wrapper.chmod(0o755)
    batch = shared_sandbox.directory / "batch"
    batch.write_text("pwd\n")
    config = str(ssh_config(shared_sandbox, server))

    done = subprocess.run(
        [require("sftp"), "-b", str(batch), "-S", str(wrapper), "-F", config, "box"],
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert b"Remote working directory" in done.stdout
    assert done.returncode == 0


def test_a_command_is_restarted_after_a_lost_connection(sandbox: Sandbox) -> None:
    server, marks = sandbox.sshd(), sandbox.directory / "marks"
    autossh(sandbox, server, f"-M 0 box 'echo run >> {marks}; exec sleep 60'")

    def runs() -> int:
        return marks.read_text().count("run") if marks.exists() else 0

    wait_until(lambda: runs() == 1, within=RECOVERY_TIMEOUT)
    restart(server)
    wait_until(lambda: runs() == 2, within=RECOVERY_TIMEOUT)
    server.kill()  # with the command, which it leaves running when only the client is gone


def test_a_started_stream_ends_with_its_connection(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    arguments = [
        str(own_autossh(sandbox.directory)),
        "-F",
        str(ssh_config(sandbox, server)),
        "-M",
        "0",
        "box",
        "cat",
    ]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"one")
        process.stdin.flush()
        assert process.stdout.read(3) == b"one"

        server.kill()

        assert process.stdout.read() == b""
        assert process.wait(30) == 1


@pytest.fixture
def mounted(sandbox: Sandbox) -> Iterator[tuple[Sshd, Path]]:
    if not Path("/dev/fuse").exists():
        pytest.skip("this machine has no /dev/fuse")
    server = sandbox.sshd(Subsystem="sftp internal-sftp")
    source, mount = sandbox.subdirectory("source"), sandbox.subdirectory("mount")
    (source / "file").write_text("one")
    options = ["reconnect", "compression=yes", "transform_symlinks", "ServerAliveInterval=45"]
    options += ["ServerAliveCountMax=2", f"ssh_command={own_autossh(sandbox.directory)} -M 0"]
    config = str(ssh_config(sandbox, server))
    command = [require("sshfs"), "-f", "-o", ",".join(options), "-F", config]
    command += [f"{USER}@example.com:{source}", str(mount)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            wait_until(
                lambda: mount.is_mount() or process.poll() is not None, within=RECOVERY_TIMEOUT
            )
            if process.poll() is not None:
                pytest.skip("this machine does not allow FUSE mounts")
            yield server, mount
        finally:
            subprocess.run([require("fusermount"), "-u", "-z", str(mount)], check=False)
            os.killpg(process.pid, signal.SIGKILL)


def test_an_sshfs_mount_survives_a_server_restart(mounted: tuple[Sshd, Path]) -> None:
    server, mount = mounted
    assert (mount / "file").read_text() == "one"

    restart(server)

    def read_again() -> bool:
        try:
            done = subprocess.run(
                ["cat", str(mount / "file")],
                capture_output=True,
                check=False,
                timeout=RECOVERY_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.stdout == b"one"

    wait_until(read_again, within=2 * RECOVERY_TIMEOUT)
