"""The relay with real clients: OpenSSH and Dropbear."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import MEGABYTE, blob, exchange, is_listening, sha256
from tests.e2e.keys import make_key
from tests.e2e.ports import free_port
from tests.e2e.services import echo, hash_sink, sender, web_page
from tests.e2e.waiting import wait_until
from tests.relay.openssh_client import DESTINATION, GREETING, Ssh
from tests.relay.relay_process import (
    USER,
    RelayProcess,
    add_known_host,
    authorized_keys_line,
    start_relay,
)
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.sandbox import Sandbox

OPEN_LOOPBACK = ["*:*", "127.0.0.1:*", "localhost:*"]
"""Permits for the services of these tests: loopback is closed by default."""


@pytest.fixture(scope="module")
def sockets(shared_sandbox: Sandbox) -> Path:
    folder = shared_sandbox.directory / "sockets"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(scope="module")
def relay(shared_sandbox: Sandbox, sockets: Path) -> Iterator[RelayProcess]:
    """Start a relay for all tests of this file that do not change it."""
    relay = start_relay(
        shared_sandbox,
        permit_open=OPEN_LOOPBACK,
        unix_socket_dir=str(sockets),
        limits={"penalties": False},
    )
    yield relay
    assert "Traceback" not in relay.log()
    assert "please report it" not in relay.log()


@pytest.fixture
def ssh(shared_sandbox: Sandbox, relay: RelayProcess) -> Iterator[Ssh]:
    with Ssh(shared_sandbox, relay) as ssh:
        yield ssh


def wait_for_listener(port: int | Path) -> None:
    wait_until(lambda: is_listening(port), 10, f"no listener on {port}")


# -- forwards --------------------------------------------------------------------------------------


def test_a_local_forward_carries_data_both_ways(ssh: Ssh) -> None:
    upload_port, download_port = free_port(), free_port()
    sink, source = ssh.sandbox.service(hash_sink), ssh.sandbox.service(sender(blob(20 * MEGABYTE)))
    ssh.tunnel("-L", f"{upload_port}:{sink}", "-L", f"{download_port}:{source}")
    wait_for_listener(upload_port)

    assert exchange(upload_port, blob(20 * MEGABYTE)).decode() == sha256(blob(20 * MEGABYTE))
    assert sha256(exchange(download_port)) == sha256(blob(20 * MEGABYTE))


def test_a_remote_forward_carries_data_both_ways(ssh: Ssh) -> None:
    upload_port, download_port = free_port(), free_port()
    sink, source = ssh.sandbox.service(hash_sink), ssh.sandbox.service(sender(blob(20 * MEGABYTE)))
    ssh.tunnel("-R", f"{upload_port}:{sink}", "-R", f"{download_port}:{source}")
    ssh.relay.wait_until_bound(f"localhost:{upload_port}", f"localhost:{download_port}")

    assert exchange(upload_port, blob(20 * MEGABYTE)).decode() == sha256(blob(20 * MEGABYTE))
    assert sha256(exchange(download_port)) == sha256(blob(20 * MEGABYTE))
    assert exchange(("::1", upload_port), b"six").decode() == sha256(b"six")


def test_a_remote_forward_of_port_0_reports_the_chosen_port(ssh: Ssh) -> None:
    service = ssh.sandbox.service(echo)
    command = ssh.command("-N", "-R", f"0:{service}")
    process = subprocess.Popen(
        [word.replace("LogLevel=ERROR", "LogLevel=INFO") for word in command],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        fields = process.stderr.readline().split()
        assert fields[:3] == ["Allocated", "port", fields[2]]
        assert exchange(int(fields[2]), b"any port") == b"any port"
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def test_socks_reaches_targets_behind_the_relay(ssh: Ssh) -> None:
    page, port = ssh.sandbox.service(web_page("hello")), free_port()
    ssh.tunnel("-D", str(port))
    wait_for_listener(port)
    curl = [require("curl"), "-s", "--max-time", "10", "--socks5-hostname", f"127.0.0.1:{port}"]

    completed = subprocess.run([*curl, f"http://{page}/"], capture_output=True, check=False)
    assert completed.stdout == b"hello"


def test_a_remote_forward_can_be_a_socks_proxy(ssh: Ssh) -> None:
    page, port = ssh.sandbox.service(web_page("hello")), free_port()
    ssh.tunnel("-R", str(port))
    ssh.relay.wait_until_bound(f"localhost:{port}")
    curl = [require("curl"), "-s", "--max-time", "10", "--socks5-hostname", f"127.0.0.1:{port}"]

    completed = subprocess.run([*curl, f"http://{page}/"], capture_output=True, check=False)
    assert completed.stdout == b"hello"


def test_stdin_and_stdout_are_connected_to_a_target(ssh: Ssh) -> None:
    completed = ssh.run("-W", str(ssh.sandbox.service(echo)), text="through")

    assert (completed.returncode, completed.stdout) == (0, "through")


def test_unix_sockets_are_forwarded_both_ways(ssh: Ssh, sockets: Path) -> None:
    target, remote = sockets / "target.sock", sockets / "remote.sock"
    here = ssh.sandbox.directory / "here.sock"
    ssh.sandbox.service(echo, at=target)
    service = ssh.sandbox.service(echo)
    ssh.tunnel("-L", f"{here}:{target}", "-R", f"{remote}:{service}")
    ssh.relay.wait_until_bound(str(remote))
    wait_for_listener(here)

    assert exchange(here, b"to a path") == b"to a path"
    assert exchange(remote, b"from a path") == b"from a path"
    assert remote.stat().st_mode & 0o777 == 0o600


def test_a_unix_socket_is_removed_when_its_client_disconnects(ssh: Ssh, sockets: Path) -> None:
    remote = sockets / "gone.sock"
    process = ssh.tunnel("-R", f"{remote}:127.0.0.1:9")
    ssh.relay.wait_until_bound(str(remote))
    process.kill()
    wait_until(lambda: not remote.exists(), 10, "the socket stays")


@pytest.mark.parametrize("path", ["/tmp/outside.sock", "{sockets}/../outside.sock", "/etc/passwd"])
def test_a_unix_socket_elsewhere_is_refused(ssh: Ssh, sockets: Path, path: str) -> None:
    path = path.format(sockets=sockets)
    listen = ssh.run("-N", "-R", f"{path}:127.0.0.1:9")

    assert listen.returncode != 0
    assert "remote port forwarding failed" in listen.stderr


def test_a_host_behind_the_relay_is_reached_by_name(sandbox: Sandbox) -> None:
    box = sandbox.sshd()
    relay = start_relay(sandbox)
    sandbox.add_known_host("home", Path(f"{box.host_key}.pub").read_text())
    with Ssh(sandbox, relay) as ssh:
        ssh.tunnel("-R", f"home:22:127.0.0.1:{box.port}")
        relay.wait_until_bound("home:22")
        jump = " ".join([*ssh.sandbox.ssh(relay.port), "-W", "%h:%p", DESTINATION])
        completed = subprocess.run(
            [*sandbox.ssh(22), "-o", f"ProxyCommand={jump}", "root@home", "echo", "logged in"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert completed.stdout == "logged in\n"


def test_the_relay_can_be_a_jump_host(sandbox: Sandbox) -> None:
    box, relay = sandbox.sshd(), start_relay(sandbox)
    config = sandbox.directory / "config"
    with Ssh(sandbox, relay) as ssh:
        port = free_port()
        ssh.tunnel("-R", f"{port}:127.0.0.1:{box.port}")
        relay.wait_until_bound(f"localhost:{port}")
        config.write_text(
            f"Host relay\n HostName 127.0.0.1\n Port {relay.port}\n User {USER}\n"
            f"Host *\n IdentityFile {sandbox.key}\n IdentitiesOnly yes\n BatchMode yes\n"
            f" UserKnownHostsFile {sandbox.known_hosts}\n"
        )
        sandbox.add_known_host(f"[localhost]:{port}", Path(f"{box.host_key}.pub").read_text())
        at_the_box = ("root@localhost", "echo", "jumped")
        completed = subprocess.run(
            [require("ssh"), "-F", str(config), "-J", "relay", "-p", str(port), *at_the_box],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert completed.stdout == "jumped\n", completed.stderr


def test_forwards_are_added_and_cancelled_on_a_live_connection(ssh: Ssh) -> None:
    control = ssh.sandbox.directory / "master.sock"
    here, there = free_port(), free_port()
    service = ssh.sandbox.service(echo)
    ssh.tunnel("-M", "-S", str(control))
    wait_until(control.exists, 10, "no master")

    def ask(verb: str, *forward: str) -> int:
        return ssh.run("-S", str(control), "-O", verb, *forward).returncode

    assert ask("forward", "-R", f"{there}:{service}") == 0
    assert ask("forward", "-L", f"{here}:{service}") == 0
    assert exchange(there, b"added") == b"added"
    assert exchange(here, b"added") == b"added"
    assert ask("cancel", "-R", f"{there}:{service}") == 0
    ssh.relay.wait_until_bound()
    assert not is_listening(there)
    assert ask("forward", "-R", f"{there}:{service}") == 0
    assert exchange(there, b"again") == b"again"


def test_dropbear_listens_on_the_relay(ssh: Ssh) -> None:
    key, port = ssh.sandbox.directory / "dropbear_key", free_port()
    make_dropbear_key(ssh.sandbox, key)
    service = ssh.sandbox.service(echo)
    command = [require("dbclient"), "-y", "-y", "-N", "-T", "-i", str(key)]
    command += ["-p", str(ssh.relay.port), "-R", f"{port}:{service}", DESTINATION]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ssh.relay.wait_until_bound(f"localhost:{port}")
        assert exchange(port, blob(MEGABYTE)) == blob(MEGABYTE)
    finally:
        process.kill()
        process.wait()


def make_dropbear_key(sandbox: Sandbox, key: Path) -> None:
    """Create an authorized key in Dropbear's format."""
    make = [require("dropbearkey"), "-t", "ed25519", "-f", str(key)]
    results = subprocess.run(make, check=True, capture_output=True, text=True).stdout
    line = next(line for line in results.splitlines() if line.startswith("ssh-"))
    with sandbox.authorized_keys.open("a") as file:
        file.write(f"{line}\n")


# -- sessions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("-t",), ("-A",), ("-X",)])
@pytest.mark.parametrize("command", [(), ("id",)])
def test_shells_and_commands_are_refused_with_a_message(
    ssh: Ssh, arguments: tuple[str, ...], command: tuple[str, ...]
) -> None:
    completed = ssh.run(*arguments, then=command)

    assert completed.returncode == 1
    assert GREETING in completed.stderr
    assert completed.stdout == ""


def test_sftp_is_refused_with_a_message(ssh: Ssh) -> None:
    command = ssh.sandbox.ssh(ssh.relay.port)
    at = command.index("-p")
    options = [*command[1:at], "-P", command[at + 1]]
    completed = subprocess.run(
        [require("sftp"), *options, DESTINATION],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert completed.returncode != 0
    assert GREETING in completed.stderr


def test_a_second_listener_on_a_port_is_refused(ssh: Ssh) -> None:
    used_port = ssh.sandbox.service(echo).port
    completed = ssh.run("-N", "-R", f"{used_port}:127.0.0.1:9")

    assert completed.returncode != 0
    assert f"remote port forwarding failed for listen port {used_port}" in completed.stderr


# -- authentication --------------------------------------------------------------------------------


def test_each_user_has_separate_keys(sandbox: Sandbox) -> None:
    keys = sandbox.directory / "keys"
    keys.mkdir()
    other = make_key(sandbox.directory / "other")
    (keys / USER).write_text(authorized_keys_line(sandbox.key))
    (keys / "other").write_text(authorized_keys_line(other))
    (sandbox.directory / "outside").write_text(authorized_keys_line(sandbox.key))
    relay = RelayProcess(sandbox.subdirectory("r"), keys / "%u", limits={"penalties": False})
    sandbox._stack.callback(relay.close)
    relay.start()
    add_known_host(sandbox, relay)
    logins = {}
    for user in (USER, "other", "unknown", "../outside", "../keys/" + USER, "", "."):
        command = [*sandbox.ssh(relay.port), "-l", user, "127.0.0.1"]
        completed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        logins[user] = GREETING in completed.stderr

    assert logins.pop(USER)
    assert not any(logins.values())


def test_an_unknown_user_gets_the_same_answer_as_a_wrong_key(sandbox: Sandbox) -> None:
    keys = sandbox.directory / "keys"
    keys.mkdir()
    (keys / USER).write_text(authorized_keys_line(make_key(sandbox.directory / "other")))
    relay = RelayProcess(sandbox.subdirectory("r"), keys / "%u", limits={"penalties": False})
    sandbox._stack.callback(relay.close)
    relay.start()
    add_known_host(sandbox, relay)
    results = []
    for user in (USER, "unknown"):
        command = [*sandbox.ssh(relay.port), "-l", user, "127.0.0.1"]
        completed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        results.append((completed.returncode, completed.stderr.replace(user, "USER")))

    assert results[0] == results[1]
    assert "Permission denied (publickey)" in results[0][1]


# -- takeover --------------------------------------------------------------------------------------


def test_a_frozen_client_loses_its_port_to_its_newer_connection(sandbox: Sandbox) -> None:
    limits = {"keepalive_interval": 1, "penalties": False}
    relay = start_relay(sandbox, limits=limits)
    port, old, new = free_port(), sandbox.service(sender(b"old")), sandbox.service(sender(b"new"))
    with Ssh(sandbox, relay) as ssh:
        first = ssh.tunnel("-R", f"{port}:{old}")
        relay.wait_until_bound(f"localhost:{port}")
        assert exchange(port) == b"old"
        first.send_signal(signal.SIGSTOP)
        ssh.tunnel("-R", f"{port}:{new}")
        wait_until(lambda: "took localhost" in relay.log(), 5, relay.log)
        assert exchange(port) == b"new"
        wait_until(lambda: len(relay.status()["clients"]) == 1, 3, lambda: str(relay.status()))
        assert relay.bound_targets() == [f"localhost:{port}"]


# -- unauthenticated connections -------------------------------------------------------------------


def test_silent_connections_do_not_exclude_other_clients(sandbox: Sandbox) -> None:
    relay = start_relay(sandbox)
    silent = [socket.create_connection(("127.0.0.1", relay.port)) for _ in range(50)]
    try:
        with Ssh(sandbox, relay) as ssh:
            for _ in range(3):
                assert GREETING in ssh.run().stderr
    finally:
        for sock in silent:
            sock.close()
