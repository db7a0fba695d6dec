"""A complete session of a new user: seven tunnels, a server that dies, and the shutdown."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import psutil
import pytest

from tests.e2e.clients import exchange, is_listening
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER, Sandbox, host_table, socks_tunnel, tunnel_table
from tests.e2e.server_process import is_running
from tests.e2e.services import echo, web_page
from tests.e2e.waiting import TIMEOUT, wait_until
from tests.requirements import require

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.program import Program
    from tests.e2e.sshd import Sshd

HEALTHY = ["local", "remote", "socks", "unix", "chain", "reverse"]


class Setup(NamedTuple):
    sandbox: Sandbox
    server: Sshd
    program: Program
    ports: dict[str, int]
    path: Path
    page: str

    def all_carry_data(self) -> bool:
        """Return whether data flows through all six tunnels."""
        try:
            self.use_all()
        except (OSError, AssertionError, subprocess.SubprocessError):
            return False
        return True

    def use_all(self) -> None:
        """Send data through each of the six tunnels."""
        for name in ("local", "remote", "chain"):
            assert exchange(self.ports[name], b"data") == b"data"
        assert exchange(self.path, b"data") == b"data"
        proxy = ["--socks5-hostname", f"127.0.0.1:{self.ports['socks']}", "--max-time", "30"]
        fetched = subprocess.check_output(
            [require("curl"), "-sS", *proxy, self.page], stderr=subprocess.DEVNULL
        )
        assert fetched == b"hello"
        ssh = self.sandbox.ssh(
            self.ports["reverse"], "-o", f"HostKeyAlias=[127.0.0.1]:{self.server.port}"
        )
        answer = subprocess.check_output(
            [*ssh, f"{USER}@127.0.0.1", "cat"],
            input=b"data",
            stderr=subprocess.DEVNULL,
            timeout=30,
        )
        assert answer == b"data"


@pytest.fixture
def setup(sandbox: Sandbox) -> Setup:
    server, service = sandbox.sshd(), sandbox.service(echo)
    ports = {name: free_port() for name in [*HEALTHY, "closed"]}
    path = sandbox.directory / "here.sock"
    program = sandbox.program(
        host_table("relay", server.port),
        tunnel_table("local", "relay", f'local = "{ports["local"]}:{service}"'),
        tunnel_table("remote", "relay", f'remote = "{ports["remote"]}:{service}"'),
        tunnel_table("socks", "relay", f'socks = "{ports["socks"]}"'),
        tunnel_table("unix", "relay", f'local = "{path}:{service}"'),
        tunnel_table(
            "chain", server.port, 'jump = "relay"', f'local = "{ports["chain"]}:{service}"'
        ),
        tunnel_table("reverse", "relay", f'remote = "{ports["reverse"]}:127.0.0.1:{server.port}"'),
        socks_tunnel("closed", ports["closed"]),
    )
    page = f"http://localhost:{sandbox.service(web_page('hello')).port}/"
    return Setup(sandbox, server, program, ports, path, page)


def test_seven_tunnels_from_start_through_an_outage_to_the_end(setup: Setup) -> None:
    server, program = setup.server, setup.program

    checked = program.run("check")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")

    started = program.run("up", "--detach", "--timeout", "15", timeout=40)
    output = started.stdout + started.stderr
    assert started.returncode == 1
    assert "closed" in output
    assert "refused" in output
    assert not [name for name in HEALTHY if f"{name}:" in output]
    supervisor = psutil.Process(program.status().supervisor.pid)

    shown = program.run("status")
    assert shown.returncode == 1
    rows = {cells[0]: cells[1] for line in shown.stdout.splitlines() if (cells := line.split())}
    assert {name: rows[name] for name in HEALTHY} == dict.fromkeys(HEALTHY, "up"), shown.stdout
    assert rows["closed"] in {"backoff", "connecting"}, shown.stdout
    waiting = program.wait_for_state("closed", "backoff", "refused")
    assert waiting.retry_at is not None
    setup.use_all()

    server.kill()
    for name in HEALTHY:
        down = program.wait_for_state(name, "backoff")
        assert down.failure is not None
    for name in HEALTHY:  # as after a minute: the delays have reached their maximum
        program.wait_for(name, lambda tunnel: tunnel.attempt >= 4, within=20)
    with ThreadPoolExecutor() as clients:
        held_client = clients.submit(exchange, setup.ports["local"], b"during the outage")
        server.start()
        wait_until(setup.all_carry_data, within=2 * TIMEOUT, message="data does not flow again")
        assert held_client.result() == b"during the outage"

    second_up = program.run("up", "local")
    assert second_up.returncode == 0
    assert program.status().supervisor.pid == supervisor.pid
    valid_config = program.config.read_text()
    program.write_config(valid_config + "nonsense = 1\n")
    assert program.run("reload").returncode == 2
    setup.use_all()

    program.succeed("down")
    wait_until(lambda: not is_running(supervisor))
    assert not program.socket.exists()
    assert not setup.path.exists()
    assert not [name for name, port in setup.ports.items() if is_listening(port)]
    wait_until(lambda: not server.sessions())
