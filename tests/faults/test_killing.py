"""The supervisor killed with SIGKILL and restarted, and stopped in every phase of a tunnel."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.sandbox import host_table, socks_tunnel, tunnel_table
from tests.e2e.server_process import is_running
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tests.faults.background_loop import BackgroundLoop
from tests.faults.expectation import MARGIN
from tests.faults.silent_dns import with_silent_dns
from tests.requirements import require
from tests.ssh.links import full_backlog
from tests.ssh.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.program import Program
    from tests.e2e.sandbox import Sandbox

NOWHERE = "192.0.2.1"
"""An address for documentation that no machine has (RFC 5737)."""


def child_processes(program: Program) -> list[psutil.Process]:
    return psutil.Process(program.status().supervisor.pid).children(recursive=True)


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """Yield the port of a server that accepts and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_restart_after_a_kill_restores_tunnels_and_leaves_no_child(
    sandbox: Sandbox,
) -> None:
    port, service = free_port(), sandbox.service(echo)
    server = sandbox.sshd()
    sandbox.add_known_host("relay", sandbox.known_hosts.read_text().split(" ", 1)[1].strip())
    # A process of a proxy command that notices neither the end of its input nor SIGTERM.
    deaf = "trap : TERM; while :; do sleep 1000; done"
    stubborn = f"sh -c '({deaf}) & exec ncat 127.0.0.1 {server.port}'"
    program = sandbox.program(
        host_table("relay", server.port, f'proxy_command = "{stubborn}"'),
        tunnel_table("t", "relay", f'local = "{port}:{service}"'),
        tunnel_table("stuck", "hung", f'socks = "{free_port()}"'),
        host_table("hung", 1, 'proxy_command = "exec sleep 1000"', "connect_timeout = 300"),
    )
    program.up()
    program.wait_until_up("t")
    wait_until(lambda: [p for p in child_processes(program) if p.name() == "sleep"], MARGIN)
    children = child_processes(program)

    program.kill()
    assert program.socket.exists()
    started = time.monotonic()
    program.up()

    program.wait_until_up("t", within=MARGIN)
    assert exchange(port, b"still works") == b"still works"
    assert time.monotonic() - started < MARGIN
    wait_until(lambda: not any(map(is_running, children)), MARGIN, "a child process still runs")


def test_the_socket_of_a_killed_supervisor_is_replaced(sandbox: Sandbox) -> None:
    program = sandbox.program(socks_tunnel("t", sandbox.sshd().port))
    program.up()
    first = program.status().supervisor.pid
    program.kill()

    program.up()

    assert program.status().supervisor.pid != first
    program.wait_until_up(within=MARGIN)


HANGING = {
    "AuthorizedKeysFile": "none",
    "AuthorizedKeysCommand": f"{require('sleep')} 1000",
    "AuthorizedKeysCommandUser": "root",
}
"""Options of a server that never accepts or refuses a key."""


def phases(sandbox: Sandbox, silent_port: int, full_port: int) -> dict[str, tuple[str, ...]]:
    """Return tables whose tunnel "t" stays in a phase, by the name of the phase."""
    hanging = 'proxy_command = "exec sleep 1000"'
    return {
        "connect": (
            host_table("away", full_port, "connect_timeout = 300"),
            socks_tunnel("t", "away"),
        ),
        "proxy": (host_table("hung", 22, hanging), socks_tunnel("t", "hung")),
        "key_exchange": (socks_tunnel("t", silent_port, "connect_timeout = 300"),),
        "login": (
            socks_tunnel("t", sandbox.sshd(known=True, **HANGING).port, "connect_timeout = 300"),
        ),
        "backoff": (socks_tunnel("t", free_port()),),
        "blocked": (socks_tunnel("t", sandbox.sshd(known=False).port),),
        "up": (socks_tunnel("t", sandbox.sshd().port),),
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "phase", ["connect", "proxy", "key_exchange", "login", "backoff", "blocked", "up", "stopping"]
)
def test_a_signal_stops_it_in_every_phase_and_leaves_nothing_behind(
    sandbox: Sandbox, phase: str, number: signal.Signals
) -> None:
    with silent_server() as silent_port, full_backlog() as (_, full_port):
        program = sandbox.program(
            *phases(sandbox, silent_port, full_port)["up" if phase == "stopping" else phase]
        )
        program.up()
        states = {"up": "up", "stopping": "up", "backoff": "backoff", "blocked": "blocked"}
        expected = states.get(phase, "connecting")
        program.wait_for("t", lambda tunnel: tunnel.state == expected, within=MARGIN)
        if phase in {"connect", "key_exchange", "login"}:
            program.wait_for("t", lambda t: t.progress and t.progress.step == phase, within=MARGIN)
        children = child_processes(program)
        down = program.spawn("down", "t") if phase == "stopping" else None

        code = program.stop(number)
        if down is not None:
            down.wait(MARGIN)

    assert code == 0, program.log()
    assert not program.socket.exists()
    wait_until(lambda: not any(map(is_running, children)), MARGIN, "a child process still runs")


@pytest.fixture
def background() -> Iterator[BackgroundLoop]:
    with BackgroundLoop() as background:
        yield background


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_while_no_name_server_answers(
    sandbox: Sandbox, background: BackgroundLoop, number: signal.Signals
) -> None:
    program = sandbox.program(socks_tunnel("t", "relay.test", "connect_timeout = 300"))
    program.command_prefix = with_silent_dns(sandbox, background, hosts="")
    program.up()
    program.wait_for("t", lambda t: t.progress and t.progress.step == "resolve", within=MARGIN)

    assert program.stop(number) == 0, program.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_while_a_remote_port_request_is_unanswered(
    sandbox: Sandbox, background: BackgroundLoop, number: signal.Signals
) -> None:
    server = background.enter(serve(sandbox.subdirectory("server")))
    background.call(server.may_listen.clear)
    program = sandbox.program(
        tunnel_table(
            "t",
            server.port,
            f'identity_files = "{server.user_key_file}"',
            f'known_hosts = "{server.known_hosts}"',
            f'remote = "{free_port()}:{NOWHERE}:9"',
        )
    )
    program.up()
    wait_until(lambda: server.listening, MARGIN, "the server received no request")
    progress = program.tunnel("t").progress
    assert progress is not None
    assert progress.step == "forwards"

    assert program.stop(number) == 0, program.log()
    wait_until(lambda: not server.connections, MARGIN, "the connection is still open")
