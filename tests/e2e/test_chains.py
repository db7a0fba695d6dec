"""Jump hosts: chains in ssh -J order, shared connections, and access through a relay."""

from __future__ import annotations

import pytest

from tests.e2e.clients import exchange
from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, host_table, tunnel_table
from tests.e2e.services import echo

pytestmark = pytest.mark.usefixtures("data_path")


def test_tunnels_share_the_connections_to_their_jump_hosts(
    sandbox: Sandbox,
) -> None:
    first, second, third = sandbox.sshd(), sandbox.sshd(), sandbox.sshd()
    service = sandbox.service(echo)
    ports = {"two": free_port(), "three": free_port(), "direct": free_port()}
    one_jump = f'jump = "127.0.0.1:{first.port}"'
    two_jumps = f'jump = ["127.0.0.1:{first.port}", "127.0.0.1:{second.port}"]'
    program = sandbox.program(
        tunnel_table("two", second.port, one_jump, f'local = "{ports["two"]}:{service}"'),
        tunnel_table("three", third.port, two_jumps, f'local = "{ports["three"]}:{service}"'),
        tunnel_table("direct", first.port, f'local = "{ports["direct"]}:{service}"'),
    )
    program.up()
    program.wait_until_up(within=20)

    for name, port in ports.items():
        assert exchange(port, name.encode()) == name.encode()
    # Each tunnel has its own connection to its host; only the hops before it are shared.
    assert first.logins() == 2
    assert second.logins() == 2
    assert third.logins() == 1
    three = program.tunnel("three")
    assert [hop.rpartition(":")[2] for hop in three.jump] == [str(first.port), str(second.port)]
    assert [hop.connected for hop in three.hops] == [True, True, True]

    program.succeed("down", "three")
    program.wait_for_state("three", "stopped")
    assert exchange(ports["two"], b"still works") == b"still works"


def test_a_dead_jump_host_is_named_and_tunnels_recover_when_it_returns(sandbox: Sandbox) -> None:
    jump, target = sandbox.sshd(), sandbox.sshd()
    port = free_port()
    program = sandbox.program(
        tunnel_table(
            "t",
            target.port,
            f'jump = "127.0.0.1:{jump.port}"',
            f'local = "{port}:{sandbox.service(echo)}"',
        )
    )
    program.up()
    program.wait_until_up()

    jump.kill()
    down = program.wait_for("t", lambda t: t.state == "backoff" and t.attempt > 1)
    jump.start()
    program.wait_until_up(within=10)

    assert down.failure is not None
    assert f":{jump.port}" in down.failure.hop
    assert exchange(port, b"back") == b"back"


def test_a_machine_is_reachable_through_its_remote_forward_on_a_relay(sandbox: Sandbox) -> None:
    relay, home = sandbox.sshd(), sandbox.sshd(known=False)
    sandbox.add_known_host("home", public(home.host_key))
    open_port, port = free_port(), free_port()
    tables = [
        host_table("relay", relay.port),
        host_table("home", open_port, 'jump = "relay"', 'host_key_alias = "home"'),
    ]
    box = sandbox.program(
        *tables, tunnel_table("reverse", "relay", f'remote = "{open_port}:127.0.0.1:{home.port}"')
    )
    client = sandbox.program(
        *tables, tunnel_table("client", "home", f'local = "{port}:{sandbox.service(echo)}"')
    )
    box.up()
    box.wait_until_up()

    client.up()
    client.wait_until_up()

    assert exchange(port, b"through the relay") == b"through the relay"
    assert home.logins() == 1
