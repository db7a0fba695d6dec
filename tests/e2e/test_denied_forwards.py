"""Servers that forbid forwarding to the clients of a tunnel that is connected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import connect_and_receive, exchange
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER, Sandbox, tunnel_table
from tests.e2e.services import echo
from tests.e2e.test_socks import curl

if TYPE_CHECKING:
    from tests.e2e.program import Program
    from tunnelkeeper.core.snapshot import ForwardSnapshot, TunnelSnapshot


def only_forward(tunnel: TunnelSnapshot) -> ForwardSnapshot:
    [forward] = tunnel.forwards
    return forward


def wait_for_denial(program: Program) -> ForwardSnapshot:
    """Wait until the tunnel is degraded because the server forbids its forward."""
    tunnel = program.wait_for_state("t", "degraded", "forward_denied")
    forward = only_forward(tunnel)
    assert forward.state == "failed"
    assert forward.client_failure is not None
    return forward


def test_a_server_without_forwarding_leaves_the_tunnel_degraded(sandbox: Sandbox) -> None:
    port, target = free_port(), sandbox.service(echo)
    server = sandbox.sshd(AllowTcpForwarding="no")
    program = sandbox.program(tunnel_table("t", server.port, f'local = "{port}:{target}"'))
    program.up()
    program.wait_until_up()

    for _ in range(3):
        assert connect_and_receive(port) == b""

    forward = wait_for_denial(program)
    assert forward.client_failure is not None
    assert forward.client_failure.count == 3
    assert "administratively prohibited" in forward.client_failure.message
    status = program.run("status")
    assert status.returncode == 1
    assert "t: degraded: forward_denied: " in status.stdout
    assert "the last 3 clients failed, " in status.stdout
    assert "AllowTcpForwarding" in status.stdout

    server.kill()
    server.options["AllowTcpForwarding"] = "yes"
    server.start()
    program.succeed("restart", "t")
    program.wait_until_up()
    assert exchange(port, b"hello") == b"hello"
    assert only_forward(program.tunnel("t")).client_failure is not None
    assert "clients failed" not in program.succeed("status")


@pytest.mark.parametrize("options", ["no-port-forwarding", 'permitopen="127.0.0.1:1"', "restrict"])
def test_the_options_of_the_key_forbid_a_forward(sandbox: Sandbox, options: str) -> None:
    line = sandbox.authorized_keys.read_text()
    sandbox.authorized_keys.write_text(f"{options} {line}")
    port, target = free_port(), sandbox.service(echo)
    local = f'local = "{port}:{target}"'
    program = sandbox.program(tunnel_table("t", sandbox.sshd().port, local))
    program.up()
    program.wait_until_up()

    assert connect_and_receive(port) == b""

    wait_for_denial(program)


def test_dropbear_without_forwarding_leaves_the_tunnel_degraded(sandbox: Sandbox) -> None:
    port, target = free_port(), sandbox.service(echo)
    server = sandbox.dropbear("-j")
    program = sandbox.program(tunnel_table("t", server.port, f'local = "{port}:{target}"'))
    program.up()
    program.wait_until_up()

    assert connect_and_receive(port) == b""

    wait_for_denial(program)


def test_a_socks_proxy_is_up_again_once_the_server_permits_a_target(sandbox: Sandbox) -> None:
    permitted, forbidden = sandbox.service(echo), sandbox.service(echo)
    proxy = free_port()
    server = sandbox.sshd(PermitOpen=f"127.0.0.1:{permitted.port}")
    program = sandbox.program(tunnel_table("t", server.port, f'socks = "{proxy}"'))
    program.up()
    program.wait_until_up()

    curl("--socks5", proxy, f"http://127.0.0.1:{forbidden.port}/")
    wait_for_denial(program)
    curl("--socks5", proxy, f"telnet://127.0.0.1:{permitted.port}/")
    program.wait_until_up()
    curl("--socks5", proxy, f"http://127.0.0.1:{forbidden.port}/")

    program.wait_for("t", lambda tunnel: (f := only_forward(tunnel).client_failure) and f.count)
    assert program.tunnel("t").state == "up"


def test_a_target_that_is_down_leaves_the_tunnel_up(sandbox: Sandbox) -> None:
    port, target = free_port(), free_port()
    local = f'local = "{port}:127.0.0.1:{target}"'
    program = sandbox.program(tunnel_table("t", sandbox.sshd().port, local))
    program.up()
    program.wait_until_up()

    assert connect_and_receive(port) == b""
    assert connect_and_receive(port) == b""

    tunnel = program.tunnel("t")
    assert tunnel.state == "up"
    failure = only_forward(tunnel).client_failure
    assert failure is not None
    assert (failure.count, failure.recovered) == (2, False)
    assert "Connection refused" in failure.message
    assert "2 clients failed" in program.succeed("status")


def test_a_jump_host_without_forwarding_is_not_a_denied_forward(sandbox: Sandbox) -> None:
    jump, server = sandbox.sshd(AllowTcpForwarding="no"), sandbox.sshd()
    lines = f'jump = "{USER}@127.0.0.1:{jump.port}"', f'local = "{free_port()}:db:5432"'
    program = sandbox.program(tunnel_table("t", server.port, *lines))
    program.up()

    tunnel = program.wait_for("t", lambda tunnel: tunnel.failure)

    assert tunnel.failure is not None
    assert tunnel.failure.cause == "jump"
    assert only_forward(tunnel).client_failure is None
