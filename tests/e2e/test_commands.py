"""The commands other than `up`: their output, exit codes and start-up cost."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.program import COMMAND
from tests.e2e.sandbox import USER, Sandbox, host_table, socks_tunnel, tunnel_table
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.program import Program
    from tests.e2e.sshd import Sshd


class Running(NamedTuple):
    program: Program
    server: Sshd
    port: int
    sandbox: Sandbox


@pytest.fixture(scope="module")
def running(shared_sandbox: Sandbox) -> Running:
    """Run a supervisor with one tunnel that is up and one that is stopped."""
    server, service, port = shared_sandbox.sshd(), shared_sandbox.service(echo), free_port()
    program = shared_sandbox.program(
        host_table("relay", server.port),
        tunnel_table("db", "relay", f'local = "{port}:{service}"'),
        socks_tunnel("idle", "relay", "autostart = false"),
    )
    program.up()
    program.wait_until_up("db")
    return Running(program, server, port, shared_sandbox)


def test_status_shows_every_tunnel_and_exits_with_0_if_all_wanted_tunnels_are_up(
    running: Running,
) -> None:
    table = running.program.succeed("status")

    rows = {line.split()[0]: line for line in table.splitlines() if line.split()}
    assert "up" in rows["db"]
    assert "stopped" in rows["idle"]
    shown = json.loads(running.program.succeed("status", "--json"))
    assert [tunnel["name"] for tunnel in shown["tunnels"]] == ["db", "idle"]
    assert shown["tunnels"][0]["forwards"][0]["state"] == "listening"
    assert running.program.run("status", "nonsense").returncode == 4


def test_status_does_not_import_asyncssh(running: Running) -> None:
    imports = subprocess.run(
        [COMMAND[0], "-X", "importtime", *COMMAND[1:], "status"],
        env=running.program.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    imported = {line.rpartition("|")[2].strip() for line in imports.splitlines()}
    assert "tunnelkeeper.cli" in imported
    assert not {"asyncssh", "prompt_toolkit", "cryptography"} & imported


def test_wait_exits_according_to_the_condition(running: Running) -> None:
    program = running.program

    program.succeed("wait", "db")
    program.succeed("wait", "idle", "--for", "down")
    assert program.run("wait", "db", "--for", "down", "--timeout", "0.2").returncode == 5
    assert program.run("wait", "nonsense").returncode == 4


def test_restart_makes_a_new_connection_and_logs_follows_it(running: Running) -> None:
    program, server = running.program, running.server
    logins = server.logins()
    follower = subprocess.Popen(
        [*COMMAND, "logs", "db", "-f", "-n", "1"],
        env=program.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    with follower:
        assert follower.stdout is not None
        follower.stdout.readline()  # the last line so far
        program.succeed("restart", "db")
        wait_until(lambda: server.logins() == logins + 1, within=10)
        program.succeed("wait", "db", "--timeout", "10")

        followed = follower.stdout.readline()
        follower.terminate()
    assert "db" in followed
    assert exchange(running.port, b"new connection") == b"new connection"


def test_connect_is_a_proxy_command_for_ssh(running: Running) -> None:
    program, server, sandbox = running.program, running.server, running.sandbox
    logins = server.logins()
    proxy = shlex.join([*COMMAND, "connect", "db", f"127.0.0.1:{server.port}"])
    command = sandbox.ssh(server.port, "-o", f"ProxyCommand={proxy}", f"{USER}@127.0.0.1", "cat")

    done = subprocess.run(
        command,
        env=program.environment,
        input=b"data",
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, b"data"), done.stderr
    assert (
        server.logins() == logins + 1
    )  # the login of ssh itself, through the connection of the tunnel


def test_connect_needs_no_supervisor(running: Running) -> None:
    sandbox, server = running.sandbox, running.server
    program = sandbox.program(host_table("relay", server.port))

    done = program.run("connect", "relay", str(sandbox.service(echo)), text="data")

    assert (done.returncode, done.stdout) == (0, "data"), done.stderr


def test_connect_fails_when_the_target_refuses(running: Running) -> None:
    done = running.program.run("connect", "db", f"127.0.0.1:{free_port()}")

    assert done.returncode == 1
    assert "refused" in done.stderr


def test_check_prints_nothing_for_a_valid_file(running: Running) -> None:
    done = running.program.run("check")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


MISTAKES = """\
[supervisor]
ssh_config = false
[tunnels.db]
host = "127.0.0.1:2222"
lcoal = ["5432:db:5432"]
[tunnels.web]
host = "127.0.0.1:2222"
local = ["80000:web:80"]
hold_timeout = "soon"
[tunnels.lost]
socks = ["1080"]
[hosts.relay]
port = "ssh"
"""


@pytest.mark.parametrize("command", ["check", "up"])
def test_each_mistake_is_reported_with_its_line_number(sandbox: Sandbox, command: str) -> None:
    program = sandbox.program(MISTAKES, head="")

    done = program.run(command)

    # Further lines have the hints.
    lines = [line for line in done.stderr.splitlines() if line.startswith(f"{program.config}:")]
    assert done.returncode == 2
    assert [line.split(": ")[1] for line in lines] == [
        "tunnels.db.lcoal",
        "tunnels.web.local[0]",
        "tunnels.web.hold_timeout",
        "tunnels.lost",
        "hosts.relay.port",
    ]
    numbers = [line.split(": ")[0].rpartition(":")[2] for line in lines]
    assert numbers == ["5", "8", "9", "10", "13"]


@pytest.mark.parametrize("command", ["status", "down", "reload", "logs", "wait db", "restart db"])
def test_commands_report_a_missing_supervisor(sandbox: Sandbox, command: str) -> None:
    program = sandbox.program(tunnel_table("db", 22, 'socks = "1080"'))

    done = program.run(*command.split())

    assert done.returncode == 3
    assert "no supervisor" in done.stderr.lower()


def test_a_missing_key_is_found_by_check_and_keeps_down_its_own_tunnel_only(
    sandbox: Sandbox,
) -> None:
    server, missing = sandbox.sshd().port, sandbox.directory / "missing"
    program = sandbox.program(
        socks_tunnel("good", server),
        socks_tunnel("bad", server, f'identity_files = "{missing}"'),
    )
    done = program.run("check", "--json")
    [problem] = json.loads(done.stdout)["problems"]
    assert (done.returncode, problem["key"]) == (2, "tunnels.bad.identity_files")
    assert program.config.read_text().splitlines()[problem["line"] - 1].endswith(f'"{missing}"')

    program.up()
    program.wait_until_up("good")
    program.wait_for_state("bad", "blocked", "auth")
