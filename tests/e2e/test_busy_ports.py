"""Ports in use, local or on the server, and forwards that the server denies."""

from __future__ import annotations

from tests.e2e.clients import connect_and_receive, exchange
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, tunnel_table
from tests.e2e.services import echo, sender


def test_a_local_port_in_use_is_reported_and_bound_once_it_is_free(sandbox: Sandbox) -> None:
    port, other = free_port(), free_port()
    owner = sandbox.service(sender(b"theirs"), at=port)
    service = sandbox.service(echo)
    server = sandbox.sshd()
    forwards = [f"127.0.0.1:{port}:{service}", f"127.0.0.1:{other}:{service}"]
    program = sandbox.program(tunnel_table("t", server.port, f"local = {forwards}"))
    program.up()

    degraded = program.wait_for_state("t", "degraded", "local_port_busy")

    assert degraded.failure is not None
    assert str(port) in degraded.failure.message
    states = {forward.listen: forward.state for forward in degraded.forwards}
    assert states[f"127.0.0.1:{port}"] != "listening"
    assert states[f"127.0.0.1:{other}"] == "listening"
    assert exchange(port) == b"theirs"
    assert exchange(other, b"the other port works") == b"the other port works"
    owner.close()
    program.wait_until_up(within=10)
    assert exchange(port, b"ours now") == b"ours now"
    assert server.logins() == 1


def test_a_remote_port_in_use_degrades_the_tunnel_and_is_retried_on_the_live_connection(
    sandbox: Sandbox,
) -> None:
    port, other = free_port(), free_port()
    owner = sandbox.service(sender(b"theirs"), at=port)
    service = sandbox.service(echo)
    # With IPv6, sshd would report success for ::1 alone.
    server = sandbox.sshd(AddressFamily="inet")
    forwards = [f"{port}:{service}", f"{other}:{service}"]
    program = sandbox.program(tunnel_table("t", server.port, f"remote = {forwards}"))
    program.up()

    degraded = program.wait_for_state("t", "degraded", "remote_port_busy")
    sessions = server.sessions()

    assert degraded.failure is not None
    assert str(port) in degraded.failure.message
    assert exchange(port) == b"theirs"
    assert exchange(other, b"the other port works") == b"the other port works"
    owner.close()
    program.wait_until_up(within=20)
    assert exchange(port, b"ours now") == b"ours now"
    assert server.sessions() == sessions
    assert server.logins() == 1


def test_a_remote_forward_that_the_server_denies_degrades_the_tunnel(sandbox: Sandbox) -> None:
    local = free_port()
    program = sandbox.program(
        tunnel_table(
            "t",
            sandbox.sshd(PermitListen="none").port,
            f'local = "{local}:{sandbox.service(echo)}"',
            f'remote = "{free_port()}:127.0.0.1:9"',
        )
    )
    program.up()

    degraded = program.wait_for_state("t", "degraded")

    # The server's answer does not say whether it forbids the port or cannot bind it (RFC 4254
    # section 7.1).
    assert degraded.failure is not None
    assert degraded.failure.cause in {"forward_denied", "remote_port_busy"}
    assert degraded.failure.hint
    assert exchange(local, b"the other port works") == b"the other port works"


def test_with_exit_on_forward_failure_a_busy_port_fails_the_attempt(sandbox: Sandbox) -> None:
    taken = sandbox.service(echo).port
    program = sandbox.program(
        tunnel_table(
            "t",
            sandbox.sshd(AddressFamily="inet").port,
            f'remote = "{taken}:127.0.0.1:9"',
            "exit_on_forward_failure = true",
        )
    )
    program.up()

    program.wait_for_state("t", "backoff", "remote_port_busy")


def test_a_target_that_the_server_denies_closes_only_that_client(sandbox: Sandbox) -> None:
    port, allowed = free_port(), free_port()
    service = sandbox.service(echo)
    forwards = [f"{port}:127.0.0.1:9", f"{allowed}:{service}"]
    server = sandbox.sshd(PermitOpen=str(service))
    program = sandbox.program(tunnel_table("t", server.port, f"local = {forwards}"))
    program.up()
    program.wait_for("t", lambda tunnel: tunnel.state in {"up", "degraded"})

    assert connect_and_receive(port) == b""
    assert "prohibited" in program.succeed("logs", "t")
    assert exchange(allowed, b"the other port works") == b"the other port works"
    assert server.logins() == 1
