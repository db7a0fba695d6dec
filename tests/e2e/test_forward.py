"""`forward`: a tunnel from the command line, alone, held by the supervisor, and detached."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import psutil

from tests.e2e.clients import exchange, is_listening
from tests.e2e.ports import free_port
from tests.e2e.program import COMMAND
from tests.e2e.sandbox import USER, host_table
from tests.e2e.server_process import is_running
from tests.e2e.services import echo
from tests.e2e.terminal import Terminal
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    import subprocess

    from tests.e2e.sandbox import Sandbox


def end(process: subprocess.Popen[bytes], number: signal.Signals) -> int:
    process.send_signal(number)
    return process.wait(30)


def test_alone_it_reconnects_until_ctrl_c(sandbox: Sandbox) -> None:
    server, service, port = sandbox.sshd(), sandbox.service(echo), free_port()
    program = sandbox.program(host_table("relay", server.port))
    terminal = Terminal(program.home / "tmux", 80, 24)
    sandbox.add_cleanup(terminal.close)

    terminal.run([*COMMAND, "forward", "relay", "-NL", f"{port}:{service}"], program.environment)
    terminal.wait_for_text("\nup ", f"| 127.0.0.1:{port} |")
    assert exchange(port, b"before") == b"before"
    server.kill()
    terminal.wait_for_text("\nreconnecting: refused, next try in ")
    server.start()
    assert exchange(port, b"after", timeout=60) == b"after"
    terminal.wait_for_text("\nup ", "in 11 B, out 11 B")
    terminal.press("C-c")
    terminal.wait_for_text("ended with 130")

    assert not is_listening(port)


def test_a_tunnel_of_the_supervisor_ends_when_its_command_is_killed(sandbox: Sandbox) -> None:
    server, service, port = sandbox.sshd(), sandbox.service(echo), free_port()
    program = sandbox.program(host_table("relay", server.port))
    program.up()
    command = program.spawn("forward", "relay", "-L", f"{port}:{service}")
    try:
        wait_until(lambda: [each.name for each in program.status().tunnels] == ["relay"])
        program.wait_until_up("relay")
        assert program.tunnel("relay").ad_hoc
        assert exchange(port, b"data") == b"data"
    finally:
        assert end(command, signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: program.status().tunnels == [])

    assert not is_listening(port)
    wait_until(lambda: server.sessions() == set())


def test_a_detached_tunnel_and_its_supervisor_end_at_their_time(sandbox: Sandbox) -> None:
    server, service, port = sandbox.sshd(), sandbox.service(echo), free_port()
    program = sandbox.program()
    program.config.unlink()  # it needs none

    host = f"{USER}@127.0.0.1:{server.port}"
    keys = (f"identity_files={sandbox.key}", f"known_hosts={sandbox.known_hosts}")
    done = program.run(
        *("forward", host, "-L", f"{port}:{service}", *keys, "--name", "relay"),
        *("--detach", "--for", "4s"),
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "up: relay")
    assert done.stderr == f"created {program.config}, which has no tunnels yet\n"
    assert exchange(port, b"data") == b"data"
    supervisor = psutil.Process(program.status().supervisor.pid)
    wait_until(lambda: not is_listening(port))
    wait_until(lambda: not is_running(supervisor))

    log = (program.home / "state" / "tunnelkeeper" / "tunnelkeeper.log").read_text()
    assert "the tunnel relay has ended: its time has passed" in log
