"""Forwards that the server forbids, as opposed to ports in use on the server."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import exchange
from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.relay import Relay
from tests.e2e.sandbox import tunnel_table
from tests.e2e.services import echo, sender
from tests.requirements import absent
from tunnelkeeper.core.failures import Cause

if TYPE_CHECKING:
    from tests.e2e.program import Program
    from tests.e2e.sandbox import Sandbox
    from tunnelkeeper.core.snapshot import FailureSnapshot


def failure_of(program: Program, state: str = "degraded") -> FailureSnapshot:
    failure = program.wait_for_state("t", state).failure
    assert failure is not None
    return failure


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("AllowTcpForwarding", "no"),
        ("AllowTcpForwarding", "local"),
        ("DisableForwarding", "yes"),
        ("PermitListen", "none"),
    ],
)
def test_a_port_that_sshd_forbids_is_denied(sandbox: Sandbox, keyword: str, value: str) -> None:
    server = sandbox.sshd(known=True, **{keyword: value})
    program = sandbox.program(
        tunnel_table("t", server.port, f'remote = "{free_port()}:127.0.0.1:9"')
    )
    program.up()

    failure = failure_of(program)

    assert failure.cause == Cause.FORWARD_DENIED
    assert "AllowTcpForwarding" in failure.hint
    assert "forwarding" in failure.message  # the text of sshd


@pytest.mark.parametrize("option", ["restrict", "no-port-forwarding", 'permitlisten="1"'])
def test_a_port_that_key_options_forbid_is_denied(sandbox: Sandbox, option: str) -> None:
    sandbox.authorized_keys.write_text(f"{option} {public(sandbox.key)}\n")
    server = sandbox.sshd()
    program = sandbox.program(
        tunnel_table("t", server.port, f'remote = "{free_port()}:127.0.0.1:9"')
    )
    program.up()

    assert failure_of(program).cause == Cause.FORWARD_DENIED


def test_a_port_below_1024_is_denied_to_users_other_than_root(sandbox: Sandbox) -> None:
    if os.geteuid() != 0:
        absent("logging in as another user needs root")
    sandbox.directory.chmod(0o711)  # sshd reads the keys as the login user
    sandbox.authorized_keys.chmod(0o644)
    server = sandbox.sshd()
    remote = ["80:127.0.0.1:9", f"{free_port()}:127.0.0.1:9"]
    lines = ('user = "nobody"', f"remote = {remote}")
    program = sandbox.program(tunnel_table("t", server.port, *lines))
    program.up()

    tunnel = program.wait_for_state("t", "degraded", Cause.FORWARD_DENIED)

    assert [forward.state for forward in tunnel.forwards] == ["failed", "listening"]
    assert tunnel.failure is not None
    assert "ports below 1024 are root's" in tunnel.failure.hint


def test_each_of_several_ports_is_denied_or_bound_separately(sandbox: Sandbox) -> None:
    busy = sandbox.service(sender(b"theirs"))
    allowed = free_port()
    server = sandbox.sshd(AddressFamily="inet", PermitListen=f"{allowed} {busy.port}")
    ports = [free_port(), busy.port, allowed, free_port()]
    remote = [f"{port}:{sandbox.service(echo)}" for port in ports]
    program = sandbox.program(tunnel_table("t", server.port, f"remote = {remote}"))
    program.up()

    tunnel = program.wait_for_state("t", "degraded")

    causes = [forward.failure.cause if forward.failure else None for forward in tunnel.forwards]
    denied, in_use = Cause.FORWARD_DENIED, Cause.REMOTE_PORT_BUSY
    assert causes == [denied, in_use, None, denied]
    assert exchange(allowed, b"the other port works") == b"the other port works"


def test_a_reload_requests_a_denied_port_again(sandbox: Sandbox) -> None:
    sandbox.authorized_keys.write_text(f"restrict {public(sandbox.key)}\n")
    server = sandbox.sshd()
    program = sandbox.program(
        tunnel_table("t", server.port, f'remote = "{free_port()}:127.0.0.1:9"')
    )
    program.up()
    failure_of(program)
    requests = server.log().count("tcpip-forward listen")

    program.succeed("reload")

    program.wait_for(
        "t", lambda _: server.log().count("tcpip-forward listen") > requests, within=10
    )
    assert server.logins() == 1


def test_with_exit_on_forward_failure_a_denied_forward_blocks_the_tunnel(sandbox: Sandbox) -> None:
    server = sandbox.sshd(AllowTcpForwarding="no")
    forward = f'remote = "{free_port()}:127.0.0.1:9"'
    table = tunnel_table("t", server.port, forward, "exit_on_forward_failure = true")
    program = sandbox.program(table)
    program.up()

    assert failure_of(program, "blocked").cause == Cause.FORWARD_DENIED


def test_the_hint_for_a_busy_port_names_settings_against_stale_sessions(sandbox: Sandbox) -> None:
    busy = sandbox.service(sender(b"theirs")).port
    server = sandbox.sshd(AddressFamily="inet")
    program = sandbox.program(tunnel_table("t", server.port, f'remote = "{busy}:127.0.0.1:9"'))
    program.up()

    failure = failure_of(program)

    assert failure.cause == Cause.REMOTE_PORT_BUSY
    assert "ClientAliveInterval" in failure.hint
    assert f"ss -tlnp sport = :{busy}" in failure.hint


def test_an_address_that_the_server_lacks_is_reported(sandbox: Sandbox) -> None:
    server = sandbox.sshd(GatewayPorts="clientspecified")
    forward = f'remote = "192.0.2.1:{free_port()}:127.0.0.1:9"'
    program = sandbox.program(tunnel_table("t", server.port, forward))
    program.up()

    failure = failure_of(program)

    assert failure.cause == Cause.REMOTE_PORT_BUSY
    assert "no port of the address 192.0.2.1" in failure.message


def test_a_file_that_blocks_a_remote_socket_is_reported_until_it_is_removed(
    sandbox: Sandbox,
) -> None:
    path = sandbox.directory / "there.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as old:
        old.bind(str(path))
    server = sandbox.sshd()
    program = sandbox.program(
        tunnel_table("t", server.port, f'remote = "{path}:{sandbox.service(echo)}"')
    )
    program.up()

    failure = failure_of(program)

    assert failure.cause == Cause.REMOTE_PORT_BUSY
    assert "StreamLocalBindUnlink" in failure.hint
    path.unlink()
    program.wait_until_up(within=20)
    assert server.logins() == 1


def test_a_remote_socket_in_use_is_busy(sandbox: Sandbox) -> None:
    path = sandbox.directory / "there.sock"
    sandbox.service(sender(b"theirs"), at=path)
    server = sandbox.sshd()
    program = sandbox.program(tunnel_table("t", server.port, f'remote = "{path}:127.0.0.1:9"'))
    program.up()

    assert "another process listens" in failure_of(program).message


def test_a_remote_socket_that_sshd_forbids_is_denied(sandbox: Sandbox) -> None:
    server = sandbox.sshd(AllowStreamLocalForwarding="local")
    forward = f'remote = "{sandbox.directory}/there.sock:127.0.0.1:9"'
    program = sandbox.program(tunnel_table("t", server.port, forward))
    program.up()

    failure = failure_of(program)

    assert failure.cause == Cause.FORWARD_DENIED
    assert "AllowStreamLocalForwarding" in failure.hint


def test_our_relay_reports_its_reason(sandbox: Sandbox) -> None:
    relay = Relay(
        sandbox.subdirectory("relay"), sandbox.authorized_keys, 'permit_listen = ["none"]'
    )
    relay.start()
    with contextlib.closing(relay):
        sandbox.add_known_host(f"[127.0.0.1]:{relay.port}", public(relay.host_key))
        forward = f'remote = "{free_port()}:127.0.0.1:9"'
        program = sandbox.program(tunnel_table("t", relay.port, forward))
        program.up()

        failure = failure_of(program)

        assert failure.cause == Cause.FORWARD_DENIED
        assert failure.message.startswith("the relay does not allow us to listen on localhost:")
        assert failure.message.endswith(" is not permitted")


def test_a_busy_port_on_dropbear_is_detected_without_an_error_message(sandbox: Sandbox) -> None:
    busy = sandbox.service(sender(b"theirs")).port
    server = sandbox.dropbear()
    forward = f'remote = "{busy}:127.0.0.1:9"'
    program = sandbox.program(tunnel_table("t", server.port, forward))
    with contextlib.closing(socket.socket(socket.AF_INET6)) as other:
        other.bind(("::1", busy))  # otherwise Dropbear would report success for this address
        other.listen()
        program.up()

        assert failure_of(program).cause == Cause.REMOTE_PORT_BUSY
        assert exchange(busy) == b"theirs"
    program.wait_until_up(within=30)


def test_a_port_that_dropbear_forbids_is_detected_without_an_error_message(
    sandbox: Sandbox,
) -> None:
    sandbox.authorized_keys.write_text(f"no-port-forwarding {public(sandbox.key)}\n")
    server = sandbox.dropbear()
    program = sandbox.program(
        tunnel_table("t", server.port, f'remote = "{free_port()}:127.0.0.1:9"')
    )
    program.up()

    assert failure_of(program).cause == Cause.FORWARD_DENIED
