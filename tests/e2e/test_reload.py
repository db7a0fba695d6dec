"""`reload` touches what changed and nothing else."""

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
from tests.e2e.services import echo, sender
from tests.e2e.site import Site, tunnel_table
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    import socket


def talk(client: socket.socket, words: bytes) -> bytes:
    client.sendall(words)
    return receive_exactly(client, len(words))


def test_forwards_come_and_go_on_the_live_connection_beside_a_running_transfer(site: Site) -> None:
    server, service = site.sshd(), site.service(echo)
    whole = blob(20 * MEGABYTE)
    kept, gone, new, remote = free_port(), free_port(), free_port(), free_port()
    transfer = f"{kept}:{site.service(sender(whole))}"

    def config(local: int, *lines: str) -> str:
        forwards = [transfer, f"{local}:{service}"]
        return site.config(tunnel_table("t", server.port, f"local = {forwards}", *lines))

    program = site.program()
    program.write_config(config(gone, f'socks = "{free_port()}"'))
    program.up()
    program.wait_until_up()
    since = program.tunnel("t").since

    with connected(kept) as client:
        received = receive_exactly(client, MEGABYTE)
        program.write_config(config(new, f'remote = "{remote}:{service}"'))
        program.succeed("reload")
        wait_until(lambda: is_listening(new) and is_listening(remote))
        program.wait_until_up()

        assert exchange(new, b"added") == b"added"
        assert exchange(remote, b"added there") == b"added there"
        assert not is_listening(gone)
        received += receive_exactly(client, MEGABYTE)

        program.write_config(config(new))
        program.succeed("reload")
        wait_until(lambda: not is_listening(remote))
        assert received + receive_all(client) == whole
    assert server.logins() == 1
    assert program.tunnel("t").since == since


def test_tunnels_that_are_added_removed_and_changed_leave_the_others_alone(site: Site) -> None:
    server, other, service = site.sshd(), site.sshd(), site.service(echo)
    steady, leaving, moving, coming = (free_port() for _ in range(4))

    def table(name: str, to: int, port: int) -> str:
        return tunnel_table(name, to, f'local = "{port}:{service}"')

    program = site.program(
        table("steady", server.port, steady),
        table("leaving", server.port, leaving),
        table("moving", server.port, moving),
    )
    program.up()
    program.wait_until_up()

    with connected(steady) as client:
        assert talk(client, b"before") == b"before"
        program.write_config(
            site.config(
                table("steady", server.port, steady),
                table("moving", other.port, moving),
                table("coming", other.port, coming),
            )
        )
        program.send_signal(signal.SIGHUP)
        wait_until(lambda: other.logins() == 2)
        program.wait_until_up()

        assert talk(client, b"after") == b"after"
    assert exchange(moving, b"moved") == b"moved"
    assert exchange(coming, b"added") == b"added"
    assert not is_listening(leaving)
    assert [tunnel.name for tunnel in program.status().tunnels] == ["steady", "moving", "coming"]
    assert server.logins() == 3


def test_a_bad_file_changes_nothing(site: Site) -> None:
    server, port = site.sshd(), free_port()
    program = site.program(tunnel_table("t", server.port, f'local = "{port}:{site.service(echo)}"'))
    program.up()
    program.wait_until_up()
    good = program.config.read_text()

    program.write_config(good + "lcoal = 5\n[tunnels.broken]\nremote = 7\n")
    refused = program.run("reload")

    assert refused.returncode == 2
    assert "did you mean 'local'?" in refused.stderr
    assert "tunnels.broken" in refused.stderr
    program.send_signal(signal.SIGHUP)
    wait_until(lambda: "lcoal" in program.succeed("logs"))
    assert [tunnel.name for tunnel in program.status().tunnels] == ["t"]
    assert exchange(port, b"still here") == b"still here"
    assert server.logins() == 1
