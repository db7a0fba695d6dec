"""`reload` applies the changes and leaves everything else alone."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from tests.e2e.clients import (
    MEGABYTE,
    blob,
    connected,
    exchange,
    is_listening,
    receive_all,
    receive_exactly,
)
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, tunnel_table
from tests.e2e.services import echo, sender
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    import socket


def exchange_on(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return receive_exactly(client, len(data))


def test_forwards_are_added_and_removed_during_a_transfer_on_the_live_connection(
    sandbox: Sandbox,
) -> None:
    server, service = sandbox.sshd(), sandbox.service(echo)
    whole = blob(20 * MEGABYTE)
    kept, removed, added, remote = free_port(), free_port(), free_port(), free_port()
    transfer = f"{kept}:{sandbox.service(sender(whole))}"

    def config(local: int, *lines: str) -> str:
        forwards = [transfer, f"{local}:{service}"]
        return sandbox.config(tunnel_table("t", server.port, f"local = {forwards}", *lines))

    program = sandbox.program()
    program.write_config(config(removed, f'socks = "{free_port()}"'))
    program.up()
    program.wait_until_up()
    since = program.tunnel("t").since

    with connected(kept) as client:
        received = receive_exactly(client, MEGABYTE)
        program.write_config(config(added, f'remote = "{remote}:{service}"'))
        program.succeed("reload")
        wait_until(lambda: is_listening(added) and is_listening(remote))
        program.wait_until_up()

        assert exchange(added, b"added") == b"added"
        assert exchange(remote, b"remote") == b"remote"
        assert not is_listening(removed)
        received += receive_exactly(client, MEGABYTE)

        program.write_config(config(added))
        program.succeed("reload")
        wait_until(lambda: not is_listening(remote))
        assert received + receive_all(client) == whole
    assert server.logins() == 1
    assert program.tunnel("t").since == since


def test_added_removed_and_changed_tunnels_do_not_affect_others(sandbox: Sandbox) -> None:
    server, other, service = sandbox.sshd(), sandbox.sshd(), sandbox.service(echo)
    kept, removed, changed, added = (free_port() for _ in range(4))

    def table(name: str, to: int, port: int) -> str:
        return tunnel_table(name, to, f'local = "{port}:{service}"')

    program = sandbox.program(
        table("kept", server.port, kept),
        table("removed", server.port, removed),
        table("changed", server.port, changed),
    )
    program.up()
    program.wait_until_up()

    with connected(kept) as client:
        assert exchange_on(client, b"before") == b"before"
        program.write_config(
            sandbox.config(
                table("kept", server.port, kept),
                table("changed", other.port, changed),
                table("added", other.port, added),
            )
        )
        program.send_signal(signal.SIGHUP)
        wait_until(lambda: other.logins() == 2)
        program.wait_until_up()

        assert exchange_on(client, b"after") == b"after"
    assert exchange(changed, b"moved") == b"moved"
    assert exchange(added, b"added") == b"added"
    assert not is_listening(removed)
    assert [tunnel.name for tunnel in program.status().tunnels] == ["kept", "changed", "added"]
    assert server.logins() == 3


def test_an_invalid_file_changes_nothing(sandbox: Sandbox) -> None:
    server, port = sandbox.sshd(), free_port()
    program = sandbox.program(
        tunnel_table("t", server.port, f'local = "{port}:{sandbox.service(echo)}"')
    )
    program.up()
    program.wait_until_up()
    valid_config = program.config.read_text()

    program.write_config(valid_config + "lcoal = 5\n[tunnels.broken]\nremote = 7\n")
    done = program.run("reload")

    assert done.returncode == 2
    assert "did you mean 'local'?" in done.stderr
    assert "tunnels.broken" in done.stderr
    program.send_signal(signal.SIGHUP)
    wait_until(lambda: "lcoal" in program.succeed("logs"))
    assert [tunnel.name for tunnel in program.status().tunnels] == ["t"]
    assert exchange(port, b"data") == b"data"
    assert server.logins() == 1
