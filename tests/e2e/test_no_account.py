"""A uid without an entry in the user database, as containers run programs with."""

from __future__ import annotations

import subprocess

import pytest

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.program import COMMAND, Program
from tests.e2e.sandbox import USER, Sandbox, tunnel_table
from tests.e2e.services import echo
from tests.requirements import absent, require
from tunnelkeeper.core.exit_codes import ExitCode

UID = 1000660000
HOME_VARIABLES = ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")
NAME_VARIABLES = ("LOGNAME", "USER", "LNAME", "USERNAME")


@pytest.fixture
def as_uid() -> tuple[str, ...]:
    """Return a command prefix that gives a command the uid. Files belong to the real user still."""
    unshare = require("unshare")
    prefix = (unshare, "--user", f"--map-user={UID}", "--map-group=0", "--")
    done = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        absent(f"this machine does not allow user namespaces: {done.stderr.strip()}")
    return prefix


@pytest.fixture
def port() -> int:
    """Return the local port of the program's tunnel."""
    return free_port()


@pytest.fixture
def program(sandbox: Sandbox, as_uid: tuple[str, ...], port: int) -> Program:
    """Return a program of the uid, without a login name and with a host of ssh_config."""
    server = sandbox.sshd()
    ssh_config = sandbox.directory / "ssh_config"
    ssh_config.write_text(
        f"Host box\n  HostName 127.0.0.1\n  Port {server.port}\n  User {USER}\n"
        f"  IdentityFile {sandbox.key}\n  UserKnownHostsFile {sandbox.known_hosts}\n"
    )
    program = sandbox.program(
        tunnel_table("t", "box", f'local = "{port}:{sandbox.service(echo)}"'),
        head=f'[supervisor]\nssh_config = "{ssh_config}"\n\n',
    )
    for name in NAME_VARIABLES:
        program.environment.pop(name, None)
    program.command_prefix = as_uid
    return program


def run(program: Program, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the uid."""
    return subprocess.run(
        [*program.command_prefix, *COMMAND, *arguments],
        env=program.environment,
        cwd=program.home,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_tunnel_comes_up_with_a_host_of_ssh_config(program: Program, port: int) -> None:
    checked = run(program, "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    program.up()
    program.wait_until_up()

    assert exchange(port, b"data") == b"data"
    assert run(program, "status").returncode == ExitCode.OK


def test_a_tunnel_comes_up_without_home_variables(program: Program, port: int) -> None:
    for name in HOME_VARIABLES:
        program.environment.pop(name)
    program.environment["TUNNELKEEPER_CONFIG"] = str(program.config)
    program.environment["TUNNELKEEPER_SOCKET"] = str(program.socket)
    program.socket.parent.mkdir(mode=0o700)
    program.up()
    program.wait_until_up()

    assert exchange(port, b"data") == b"data"


@pytest.mark.parametrize(
    "arguments",
    [("autossh", "-M", "0", "-N", "box"), ("import", "autossh", "--", "-N", "-D", "1080", "box")],
)
def test_a_command_that_needs_ssh_says_why_it_cannot_run(
    arguments: tuple[str, ...], program: Program
) -> None:
    done = run(program, *arguments)

    assert done.returncode != ExitCode.OK
    assert f"ssh does not run for uid {UID}, which has no entry in the user database" in done.stderr
