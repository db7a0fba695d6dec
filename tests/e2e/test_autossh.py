"""Typical autossh command lines, run by our program through a link named autossh."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.autossh_program import (
    KEEPALIVES,
    RECOVERY_TIMEOUT,
    autossh,
    launch,
    monitored_over_a_network,
    own_autossh,
    restart,
    run,
    ssh_config,
)
from tests.e2e.clients import exchange, is_listening
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER, Sandbox
from tests.e2e.services import echo, web_page
from tests.e2e.waiting import wait_until
from tests.requirements import require

if TYPE_CHECKING:
    from tests.e2e.sshd import Sshd


def can_exchange(port: int, data: bytes = b"hello") -> bool:
    try:
        return exchange(port, data) == data
    except OSError:
        return False


# -- forwards --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "-M 0 -NL {local_port}:localhost:{target_port} -o TCPKeepAlive=yes {user}@bar.com",
        (
            "-M 0 {keepalives} -o ControlMaster=no -N -L {local_port}:localhost:{target_port} "
            "{user}@example.com"
        ),
        "-M0 -TNR {local_port}:127.0.0.1:{target_port} {user}@example.com",
        "-N -M 0 -g -C -4 -q -oExitOnForwardFailure=yes -L {local_port}:127.0.0.1:{target_port} ssh://box",
    ],
)
def test_a_forward_survives_a_server_restart(line: str, sandbox: Sandbox) -> None:
    server, target_port, local_port = sandbox.sshd(), sandbox.service(echo).port, free_port()
    arguments = line.format(
        local_port=local_port, target_port=target_port, user=USER, keepalives=KEEPALIVES
    )
    autossh(sandbox, server, arguments)
    wait_until(
        lambda: is_listening(local_port) and can_exchange(local_port), within=RECOVERY_TIMEOUT
    )

    restart(server)

    wait_until(lambda: can_exchange(local_port), within=RECOVERY_TIMEOUT)


def test_a_socks_proxy_survives_a_server_restart(sandbox: Sandbox) -> None:
    server, page, proxy = sandbox.sshd(), sandbox.service(web_page("hello")), free_port()
    autossh(sandbox, server, f"-M 0 {KEEPALIVES} -NCD {proxy} {USER}@example.com")

    def fetched() -> bool:
        if not is_listening(proxy):  # far cheaper than a start of curl
            return False
        command = [require("curl"), "--silent", "--socks5-hostname", f"127.0.0.1:{proxy}"]
        done = subprocess.run([*command, f"http://{page}/"], capture_output=True, check=False)
        return done.stdout == b"hello"

    wait_until(fetched, within=RECOVERY_TIMEOUT)
    restart(server)
    wait_until(fetched, within=RECOVERY_TIMEOUT)


def test_forwards_of_ssh_config_are_used(sandbox: Sandbox) -> None:
    server, target_port, local_port = sandbox.sshd(), sandbox.service(echo).port, free_port()
    config = ssh_config(sandbox, server)
    with config.open("a") as file:
        file.write(f"  LocalForward {local_port} 127.0.0.1:{target_port}\n")
    arguments = ["-F", str(config), "-M", "0", "-N", "box"]
    launch(sandbox, own_autossh(sandbox.directory), *arguments)

    wait_until(
        lambda: is_listening(local_port) and can_exchange(local_port), within=RECOVERY_TIMEOUT
    )


# -- the monitoring loop ---------------------------------------------------------------------------


def test_a_monitoring_loop_through_an_echo_service_detects_its_end(sandbox: Sandbox) -> None:
    server, service, loop_port = sandbox.sshd(), sandbox.service(echo), free_port()
    line = f"-M {loop_port}:{service.port} -N box"
    run = autossh(sandbox, server, line, {"POLL": "2", "FIRST_POLL": "1"})

    run.wait_for_log("connection ok")
    service.close()
    run.wait_for_log("port down, restarting ssh")
    run.wait_for_starts(2)


def test_a_monitoring_loop_through_forwards_works(sandbox: Sandbox) -> None:
    variables = {"POLL": "2", "FIRST_POLL": "1", "MESSAGE": "hello"}
    with monitored_over_a_network(sandbox, variables) as (run, _):
        run.wait_for_log("connection ok")
        assert run.start_count() == 1


# -- improvements over autossh ---------------------------------------------------------------------


def test_a_server_that_is_not_up_yet_is_retried(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    server.kill()
    run = autossh(sandbox, server, "-M 0 -N box")
    run.wait_for_starts(2)

    server.start()

    wait_until(lambda: server.logins() == 1, within=RECOVERY_TIMEOUT)


def test_a_permanent_failure_within_the_gate_time_ends_it(sandbox: Sandbox) -> None:
    run = autossh(sandbox, sandbox.sshd(), "-M 0 -N -l nosuchuser box")

    assert run.exit_code() == 1
    assert "auth" in run.output()
    assert run.start_count() == 1
    assert "trying again" not in run.output() + run.log()


@pytest.mark.parametrize(
    ("line", "variables"),
    [
        ("-M 0 -N -l nosuchuser box", {"MAXSTART": "1", "GATETIME": "0"}),
        ("-M 0 -N -o UserKnownHostsFile=/dev/null box", {}),
        ("-M 0 -N -p {closed} box", {"MAXSTART": "1"}),
    ],
)
def test_the_last_attempt_does_not_announce_another(
    line: str, variables: dict[str, str], sandbox: Sandbox
) -> None:
    run = autossh(sandbox, sandbox.sshd(), line.format(closed=free_port()), variables)

    run.exit_code()
    assert run.start_count() == 1
    assert "trying again" not in run.output() + run.log()


def test_without_a_gate_the_next_attempt_is_announced(sandbox: Sandbox) -> None:
    line = "-M 0 -N -l nosuchuser box"
    run = autossh(sandbox, sandbox.sshd(), line, {"GATETIME": "0"})

    run.wait_for_log("trying again in 300 s")
    run.signal(signal.SIGTERM)
    assert run.exit_code() == 1


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_ends_a_retry_delay(number: signal.Signals, sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    server.kill()
    variables = {"POLL": "100000", "GATETIME": "0"}
    arguments = ["--strict", "-F", str(ssh_config(sandbox, server)), "-M", "0", "-N", "box"]
    run = launch(sandbox, own_autossh(sandbox.directory), *arguments, variables=variables)
    wait_until(lambda: sum(run.delays()) >= 100, within=RECOVERY_TIMEOUT, message=run.log)
    before = run.start_count()

    server.start()
    run.signal(number)

    run.wait_for_starts(before + 1)
    wait_until(lambda: server.logins() == 1, within=RECOVERY_TIMEOUT)


def test_a_hanging_server_does_not_delay_the_exit(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    run = autossh(sandbox, server, "-M 0 -N box")
    wait_until(lambda: server.logins() == 1, within=RECOVERY_TIMEOUT)

    server.suspend()
    try:
        run.signal(signal.SIGTERM)
        assert run.exit_code() == 1
    finally:
        server.resume()


@pytest.fixture(scope="module")
def server(shared_sandbox: Sandbox) -> Sshd:
    return shared_sandbox.sshd(Subsystem="sftp internal-sftp")


# -- rejected options, pid file and log ------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-M 0 -w 0:0 -N box", "-w 0:0 is not supported"),
        ("-M 0 -X box xterm", "-X is not supported"),
        ("-M 0 -o Tunnel=yes -N box", "-o Tunnel is not supported"),
        ("-M 0 -o NoSuchKeyword=1 -N box", "nosuchkeyword"),
        ("-M 0 -L nonsense -N box", "nonsense"),
        ("-M 0 -N", "expected a host"),
    ],
)
def test_an_unsupported_option_is_rejected_by_name(
    line: str, message: str, shared_sandbox: Sandbox, server: Sshd
) -> None:
    done = run(shared_sandbox, server, line)

    assert done.returncode == 1
    assert message in done.stderr.decode()


def test_the_pid_file_is_readable_and_names_the_program(sandbox: Sandbox) -> None:
    run = autossh(sandbox, sandbox.sshd(), "-M 0 -N box")

    assert wait_until(run.pid, within=RECOVERY_TIMEOUT) == run.process.pid
    assert stat.S_IMODE(run.pid_file.stat().st_mode) & 0o444


def test_a_log_that_cannot_be_written_is_reported(sandbox: Sandbox) -> None:
    run = autossh(sandbox, sandbox.sshd(), "-M 0 -N box", {"LOGFILE": "/no/such/folder/log"})

    assert run.exit_code() == 1
    assert "/no/such/folder/log" in run.output()


@pytest.mark.parametrize("flag", ["-h", "--help", "-Nh"])
def test_the_help_is_printed(flag: str, shared_sandbox: Sandbox, server: Sshd) -> None:
    done = run(shared_sandbox, server, flag)

    assert done.returncode == 0
    assert done.stdout.startswith(b"usage: autossh ")
    assert done.stderr == b""


@pytest.mark.parametrize("files", [["/no/such/key"], ["/no/such/key", "/etc/hostname/x"]])
@pytest.mark.parametrize("option", ["", "-q"])
def test_a_missing_identity_file_is_reported_as_ssh_does(
    option: str, files: list[str], shared_sandbox: Sandbox, server: Sshd
) -> None:
    config = str(ssh_config(shared_sandbox, server))
    line = " ".join([*(f"-i {file}" for file in files), option, "box true"])
    by_ssh = subprocess.run(
        ["ssh", "-F", config, *line.split()],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )

    done = run(shared_sandbox, server, f"-M 0 {line}")

    assert done.returncode == 0
    assert done.stderr == by_ssh.stderr
    assert done.stderr.count(b"not accessible") == len(files)


def test_a_missing_identity_file_is_in_the_log(sandbox: Sandbox) -> None:
    run = autossh(sandbox, sandbox.sshd(), "-M 0 -i /no/such/key box true")

    assert run.exit_code() == 0
    assert "Identity file /no/such/key not accessible" in run.log()


def test_a_separate_program_is_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())

    assert project["project"]["scripts"]["tunnelkeeper-autossh"] == "tunnelkeeper.entry:autossh"


def test_it_is_also_a_subcommand(shared_sandbox: Sandbox, server: Sshd) -> None:
    config = str(ssh_config(shared_sandbox, server))
    command = [
        sys.executable,
        "-m",
        "tunnelkeeper",
        "autossh",
        "-M",
        "0",
        "-F",
        config,
        "box",
        "id",
    ]

    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    assert done.stdout.startswith(b"uid=")
