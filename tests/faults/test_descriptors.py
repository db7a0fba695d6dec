"""A supervisor without file descriptors: connections stay, it reports why, and it gets over it."""

from __future__ import annotations

import contextlib
import resource
import socket
from typing import TYPE_CHECKING

import psutil

from tests.e2e.clients import connected, exchange
from tests.e2e.ports import free_port
from tests.e2e.services import echo
from tests.e2e.site import tunnel_table
from tests.e2e.waiting import wait_until
from tests.faults.proof import MARGIN
from tests.faults.scene import QUICK
from tunnelkeeper.core.failures import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.program import Program
    from tests.e2e.site import Site

BUSY = 0.5
"""The share of a processor that is spinning, where there is next to nothing to do."""


@contextlib.contextmanager
def limited(pid: int, soft: int) -> Iterator[None]:
    """Limit the file descriptors of a process for a while."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def cpu_share(program: Program, pid: int, within: float = 3) -> float:
    """Return the share of a processor that a process takes over some seconds."""
    process = psutil.Process(pid)
    return process.cpu_percent(within) / 100


def test_the_supervisor_may_have_as_many_as_the_machine_lets_it(site: Site) -> None:
    program = site.program(tunnel_table("t", site.sshd().port, f'socks = "{free_port()}"'))
    program.up()
    pid = program.status().supervisor.pid

    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    assert soft == hard


def test_without_one_free_live_connections_go_on_and_new_ones_are_made_later(site: Site) -> None:
    port, service = free_port(), site.service(echo)
    server = site.sshd()
    program = site.program(tunnel_table("t", server.port, *QUICK, f'local = "{port}:{service}"'))
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
        assert share < BUSY
        for client in waiting:
            client.settimeout(MARGIN)
            assert client.recv(5) == b"hello"
    program.wait_until_up(within=MARGIN)
    assert exchange(port, b"as ever", MARGIN) == b"as ever"
    said = [line for line in program.log().splitlines() if "clients wait" in line]
    assert len(said) == 1, said
    assert server.logins() == 1


def test_clients_leave_descriptors_for_those_who_ask_for_the_status(site: Site) -> None:
    port, service = free_port(), site.service(echo)
    table = tunnel_table("t", site.sshd().port, *QUICK, f'local = "{port}:{service}"')
    program = site.program(table)
    program.up()
    program.wait_until_up()
    status = program.status().supervisor
    with limited(status.pid, status.open_files + 40), contextlib.ExitStack() as crowd:
        for _ in range(80):
            crowd.enter_context(connected(port))
        wait_until(
            lambda: "clients wait" in program.succeed("logs"), MARGIN, "no client was left waiting"
        )

        assert program.tunnel("t").state == "up"
    assert exchange(port, b"as ever", MARGIN) == b"as ever"


def test_a_tunnel_that_cannot_connect_for_want_of_one_says_so_and_comes_back(site: Site) -> None:
    port, service = free_port(), site.service(echo)
    server = site.sshd()
    program = site.program(tunnel_table("t", server.port, *QUICK, f'local = "{port}:{service}"'))
    program.up()
    program.wait_until_up()
    pid = program.status().supervisor.pid
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(program.socket))  # taken while there is a descriptor for it
        wait_until(lambda: program.call("version"), MARGIN)
        with limited(pid, 3):
            server.kill()
            wait_until(lambda: "out of resources" in program.log(), MARGIN, program.log)
            share = cpu_share(program, pid)
            server.start()
        assert share < BUSY
    program.wait_until_up(within=MARGIN)
    assert exchange(port, b"as ever", MARGIN) == b"as ever"
    assert str(Cause.LOCAL_RESOURCES) in program.succeed("logs", "t")
