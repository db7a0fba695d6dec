"""The ports of autossh's monitoring loop, and conditions of this machine that it meets."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.e2e.autossh_program import (
    autossh,
    debian_autossh,
    launch,
    monitored_over_a_network,
    own_autossh,
    ssh_config,
)
from tests.e2e.clients import is_listening
from tests.e2e.ports import free_port_range
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox

FAST_POLLS = {"POLL": "2", "FIRST_POLL": "1"}


@pytest.mark.parametrize("who", ["real", "ours", "strict"])
def test_a_return_port_that_is_busy_ends_the_program(who: str, sandbox: Sandbox) -> None:
    program = debian_autossh() if who == "real" else own_autossh(sandbox.directory)
    port = free_port_range(2)
    with socket.create_server(("127.0.0.1", port + 1)):
        run = launch(
            sandbox,
            program,
            *(["--strict"] if who == "strict" else []),
            *("-F", str(ssh_config(sandbox, sandbox.sshd())), "-M", str(port), "-N", "box"),
            variables={"GATETIME": "0"},
        )
        assert run.exit_code() == 1

    assert f"bind on 127.0.0.1:{port + 1}: Address already in use" in run.log()
    assert run.start_count() == 0
    assert not run.pid_file.exists()


@pytest.mark.parametrize(
    "line", ["-M {port} -N box", "-M {port}:7 -N box", "-f -M {port} -N box", "-M {hex} -N box"]
)
def test_a_port_that_is_busy_ends_the_program(line: str, sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = line.format(port=port, hex=hex(port))
        run = autossh(sandbox, sandbox.sshd(), text, {"GATETIME": "0"})
        assert run.exit_code() == 1

    for text in (run.log(), run.output()):
        assert f"bind on 127.0.0.1:{port}: Address already in use" in text


def test_both_ports_are_held_from_the_start(sandbox: Sandbox) -> None:
    server, port = sandbox.sshd(), free_port_range(2)
    server.kill()
    run = autossh(sandbox, server, f"-M {port} -N box", {"GATETIME": "0"})
    run.wait_for_starts(1)

    wait_until(lambda: is_listening(port) and is_listening(port + 1), within=30)
    second = autossh(sandbox, server, f"-M {port} -N box")
    assert second.exit_code() == 1
    run.signal(signal.SIGTERM)
    assert run.exit_code() == 1
    assert not is_listening(port + 1)


def test_a_port_of_the_server_that_is_busy_is_no_dead_connection(sandbox: Sandbox) -> None:
    # The server runs on this machine: the remote forward finds the local one at its port.
    run = autossh(sandbox, sandbox.sshd(), f"-M {free_port_range(2)} -N box", FAST_POLLS)

    run.wait_for_log("cannot test the connection: remote_port_busy")
    assert run.start_count() == 1


def test_a_machine_without_loopback_is_no_dead_connection(sandbox: Sandbox) -> None:
    with monitored_over_a_network(sandbox, FAST_POLLS) as (run, network):
        run.wait_for_log("connection ok")

        network.client.ip("link", "set", "lo", "down")
        run.wait_for_log("cannot test the connection: 127.0.0.1:")
        network.client.ip("link", "set", "lo", "up")
        before = run.log().count("connection ok")
        wait_until(lambda: run.log().count("connection ok") > before, within=30, message=run.log)

        assert run.start_count() == 1


def test_an_echo_loop_holds_one_port(sandbox: Sandbox) -> None:
    service, port = sandbox.service(echo), free_port_range(2)
    with socket.create_server(("127.0.0.1", port + 1)):
        line = f"-M {port}:{service.port} -N box"
        run = autossh(sandbox, sandbox.sshd(), line, FAST_POLLS)
        run.wait_for_log("connection ok")

        assert run.start_count() == 1
