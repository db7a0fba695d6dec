"""The test servers themselves, tested with OpenSSH's ssh."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import exchange, is_listening
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER, Sandbox
from tests.e2e.services import echo, hash_sink
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    import subprocess

    from tests.e2e.dropbear import Dropbear
    from tests.e2e.sshd import Sshd


def start_ssh(sandbox: Sandbox, server: Sshd | Dropbear, *forwards: str) -> subprocess.Popen[bytes]:
    return sandbox.spawn(*sandbox.ssh(server.port, "-N", *forwards, f"{USER}@127.0.0.1"))


@pytest.mark.parametrize("kind", ["sshd", "dropbear"])
def test_ssh_forwards_both_ways_through_the_server(sandbox: Sandbox, kind: str) -> None:
    server = sandbox.sshd() if kind == "sshd" else sandbox.dropbear()
    local_port, remote_port = free_port(), free_port()
    service = sandbox.service(echo)
    forwards = ["-L", f"{local_port}:{service}", "-R", f"{remote_port}:{service}"]
    start_ssh(sandbox, server, *forwards)

    wait_until(lambda: is_listening(remote_port), within=10)
    assert exchange(local_port, b"local") == b"local"
    assert exchange(remote_port, b"remote") == b"remote"


def test_killing_sshd_ends_its_sessions_and_it_restarts_on_the_same_port(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    port = free_port()
    service = sandbox.service(hash_sink)
    client = start_ssh(sandbox, server, "-R", f"{port}:{service}")
    wait_until(lambda: is_listening(port), within=10)

    server.kill()

    assert client.wait(5) == 255
    assert not is_listening(port)
    assert not is_listening(server.port)
    server.start()
    start_ssh(sandbox, server, "-R", f"{port}:{service}")
    wait_until(lambda: is_listening(port), within=10)
    assert server.logins() == 2


def test_a_suspended_sshd_answers_after_it_is_resumed(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    server.suspend()
    login = sandbox.spawn(*sandbox.ssh(server.port, f"{USER}@127.0.0.1", "true"))

    server.resume()

    assert login.wait(10) == 0
