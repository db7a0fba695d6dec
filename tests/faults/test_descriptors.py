"""A supervisor without free file descriptors: connections stay up, and it reports and recovers."""

from __future__ import annotations

import contextlib
import resource
import socket
from typing import TYPE_CHECKING

import psutil

from tests.e2e.clients import connected, exchange
from tests.e2e.ports import free_port
from tests.e2e.sandbox import tunnel_table
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tests.faults.expectation import MARGIN
from tests.faults.scenario import QUICK
from tunnelkeeper.core.failures import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.program import Program
    from tests.e2e.sandbox import Sandbox

MAX_CPU_SHARE = 0.5
"""The share of a processor that only a busy loop exceeds."""


@contextlib.contextmanager
def limited(pid: int, soft: int) -> Iterator[None]:
    """Limit the file descriptors of a process inside the context."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def cpu_share(program: Program, pid: int, within: float = 3) -> float:
    """Return the share of a processor that a process uses over some seconds."""
    process = psutil.Process(pid)
    return process.cpu_percent(within) / 100


def test_the_supervisor_raises_its_soft_limit_to_the_hard_limit(sandbox: Sandbox) -> None:
    program = sandbox.program(tunnel_table("t", sandbox.sshd().port, f'socks = "{free_port()}"'))
    program.up()
    pid = program.status().supervisor.pid

    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    assert soft == hard


def test_without_free_descriptors_connections_stay_up_and_new_clients_wait(
    sandbox: Sandbox,
) -> None:
    port, service = free_port(), sandbox.service(echo)
    server = sandbox.sshd()
    program = sandbox.program(tunnel_table("t", server.port, *QUICK, f'local = "{port}:{service}"'))
    program.up()
    program.wait_until_up()
    pid = program.status().supervisor.pid
    with connected(port) as old, contextlib.ExitStack() as clients:
        old.sendall(b"before")
        assert old.recv(6) == b"before"
        with limited(pid, 3):
            waiting = [clients.enter_context(connected(port)) for _ in range(5)]
            for client in waiting:
                client.sendall(b"hello")
            share = cpu_share(program, pid)
            old.sendall(b"during")
            assert old.recv(6) == b"during"
        assert share < MAX_CPU_SHARE
        for client in waiting:
            client.settimeout(MARGIN)
            assert client.recv(5) == b"hello"
    program.wait_until_up(within=MARGIN)
    assert exchange(port, b"as ever", MARGIN) == b"as ever"
    messages = [line for line in program.log().splitlines() if "clients wait" in line]
    assert len(messages) == 1, messages
    assert server.logins() == 1


def test_clients_leave_descriptors_for_control_connections(sandbox: Sandbox) -> None:
    port, service = free_port(), sandbox.service(echo)
    table = tunnel_table("t", sandbox.sshd().port, *QUICK, f'local = "{port}:{service}"')
    program = sandbox.program(table)
    program.up()
    program.wait_until_up()
    status = program.status().supervisor
    with limited(status.pid, status.open_files + 40), contextlib.ExitStack() as clients:
        for _ in range(80):
            clients.enter_context(connected(port))
        wait_until(
            lambda: "clients wait" in program.succeed("logs"), MARGIN, "no client was left waiting"
        )

        assert program.tunnel("t").state == "up"
    assert exchange(port, b"as ever", MARGIN) == b"as ever"


def test_a_tunnel_without_a_descriptor_reports_local_resources_and_recovers(
    sandbox: Sandbox,
) -> None:
    port, service = free_port(), sandbox.service(echo)
    server = sandbox.sshd()
    program = sandbox.program(tunnel_table("t", server.port, *QUICK, f'local = "{port}:{service}"'))
    program.up()
    program.wait_until_up()
    pid = program.status().supervisor.pid
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(program.socket))  # accepted while a descriptor is free
        wait_until(lambda: program.call("version"), MARGIN)
        with limited(pid, 3):
            server.kill()
            wait_until(lambda: "out of resources" in program.log(), MARGIN, program.log)
            share = cpu_share(program, pid)
            server.start()
        assert share < MAX_CPU_SHARE
    program.wait_until_up(within=MARGIN)
    assert exchange(port, b"as ever", MARGIN) == b"as ever"
    assert str(Cause.LOCAL_RESOURCES) in program.succeed("logs", "t")
