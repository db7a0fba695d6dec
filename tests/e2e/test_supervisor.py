"""The supervisor process: a single instance, and all ways to start and stop it."""

from __future__ import annotations

import json
import signal
import stat

import psutil
import pytest

from tests.e2e.clients import connected, exchange, is_listening
from tests.e2e.keys import make_key
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, socks_tunnel, tunnel_table
from tests.e2e.server_process import is_running
from tests.e2e.services import echo, hash_sink
from tests.e2e.waiting import wait_until
from tunnelkeeper.net.rotating_file import SIZE_LIMIT, old_file
from tunnelkeeper.paths import log_path


def test_a_second_up_starts_the_named_tunnels_in_the_running_supervisor(sandbox: Sandbox) -> None:
    server, service = sandbox.sshd(), sandbox.service(echo)
    program = sandbox.program(
        tunnel_table("first", server.port, f'local = "{free_port()}:{service}"'),
        tunnel_table(
            "later", server.port, f'local = "{free_port()}:{service}"', "autostart = false"
        ),
    )
    pid = program.up().pid
    program.wait_until_up("first")
    assert program.tunnel("later").state == "stopped"

    program.succeed("up")
    assert program.tunnel("later").state == "stopped"
    assert program.succeed("up", "later") == "up: later\n"
    assert program.tunnel("later").state == "up"

    assert program.status().supervisor.pid == pid
    assert server.logins() == 2
    assert program.run("up", "nonsense").returncode == 4


def test_up_with_a_name_that_was_added_to_the_file_asks_for_a_reload(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    first = tunnel_table("first", server.port, f'socks = "{free_port()}"')
    program = sandbox.program(first)
    program.up()
    program.wait_until_up()
    added = tunnel_table("added", server.port, f'socks = "{free_port()}"', 'groups = ["new"]')
    program.config.write_text(program.config.read_text() + added)

    for arguments in (("added",), ("--group", "new"), ("added", "--detach")):
        done = program.run("up", *arguments)
        assert done.returncode == 4
        assert "has changed since the supervisor read it" in done.stderr
        assert done.stderr.endswith("\n  hint: tunnelkeeper reload\n")
    program.succeed("reload")

    assert program.succeed("up", "added") == "up: added\n"


def test_up_detach_returns_when_the_tunnels_are_up(sandbox: Sandbox) -> None:
    port = free_port()
    program = sandbox.program(
        tunnel_table("t", sandbox.sshd().port, f'local = "{port}:{sandbox.service(echo)}"')
    )

    started = json.loads(program.succeed("up", "--detach", "--json"))

    assert [(tunnel["name"], tunnel["state"]) for tunnel in started["tunnels"]] == [("t", "up")]
    assert started["supervisor_started"]
    assert exchange(port, b"data") == b"data"
    supervisor = psutil.Process(program.status().supervisor.pid)
    assert json.loads(program.succeed("down", "--json"))["supervisor_ended"]
    assert not is_listening(port)
    assert not program.socket.exists()
    wait_until(lambda: not is_running(supervisor))
    assert program.run("status").returncode == 3


def test_the_log_of_a_supervisor_in_the_background_is_rotated(sandbox: Sandbox) -> None:
    program = sandbox.program(tunnel_table("t", sandbox.sshd().port, f'socks = "{free_port()}"'))
    program.succeed("up", "--detach")
    program.succeed("down")
    log = log_path(program.environment)
    line = "2026-11-29T12:00:00Z info    before\n"
    log.write_text(line * (SIZE_LIMIT // len(line)))

    program.succeed("up", "--detach")
    program.succeed("down")

    assert old_file(log, 1).read_text().endswith(f"{line}{line}")
    assert log.read_text().splitlines()[-1].endswith("ended")
    assert [file.stat().st_mode & 0o777 for file in log.parent.glob("*.log*")] == [0o600] * 3
    shown = program.run("logs", "-n", "1000", "--utc").stdout
    assert shown.count("before") > 900
    assert shown.endswith("ended\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_every_state_of_its_tunnels(
    sandbox: Sandbox, number: signal.Signals
) -> None:
    server, service = sandbox.sshd(AddressFamily="inet"), sandbox.service(echo)
    silent = sandbox.service(hash_sink)  # accepts and sends no SSH banner
    unknown_key = make_key(sandbox.directory / "unknown_key")
    up, busy_port = free_port(), sandbox.service(echo).port
    program = sandbox.program(
        tunnel_table("up", server.port, f'local = "{up}:{service}"'),
        socks_tunnel("connecting", silent.port),
        socks_tunnel("backoff", free_port()),
        tunnel_table("degraded", server.port, f'remote = "{busy_port}:{service}"'),
        socks_tunnel("blocked", server.port, f'identity_files = "{unknown_key}"'),
    )
    program.up()
    for tunnel in program.status().tunnels:
        program.wait_for_state(tunnel.name, tunnel.name)

    with connected(up) as client:
        client.sendall(b"data")
        assert program.stop(number) == 0
    assert not program.socket.exists()
    assert not is_listening(up)


def test_only_the_owner_can_use_the_control_socket(sandbox: Sandbox) -> None:
    program = sandbox.program()
    program.up()

    assert stat.S_IMODE(program.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(program.socket.parent.stat().st_mode) == 0o700


def test_a_lock_prevents_a_second_supervisor_even_without_the_socket_file(sandbox: Sandbox) -> None:
    program = sandbox.program()
    pid = program.up().pid
    program.socket.rename(hidden := program.socket.with_name("hidden"))

    assert program.run("up").returncode == 1
    assert psutil.pid_exists(pid)
    hidden.rename(program.socket)
    assert program.status().supervisor.pid == pid


def test_the_socket_file_of_a_killed_supervisor_is_replaced(sandbox: Sandbox) -> None:
    program = sandbox.program()
    program.up()
    program.kill()
    assert program.socket.exists()

    program.up()

    program.succeed("status")


def test_down_stops_the_named_tunnel_and_without_a_name_everything(sandbox: Sandbox) -> None:
    server, service = sandbox.sshd(), sandbox.service(echo)
    ports = {"one": free_port(), "two": free_port()}
    program = sandbox.program(
        *(
            tunnel_table(name, server.port, f'local = "{port}:{service}"')
            for name, port in ports.items()
        )
    )
    program.up()
    program.wait_until_up()

    program.succeed("down", "one")
    program.wait_for_state("one", "stopped")
    assert not is_listening(ports["one"])
    assert exchange(ports["two"], b"data") == b"data"
    wait_until(lambda: len(server.sessions()) == 1)

    program.succeed("down")
    assert program.wait_for_exit() == 0
    assert not is_listening(ports["two"])
    assert not program.socket.exists()
    wait_until(lambda: not server.sessions())
