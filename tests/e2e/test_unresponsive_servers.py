"""Servers that ignore requests that they must answer, beside ssh."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, tunnel_table
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tests.faults.background_loop import BackgroundLoop
from tests.ssh import unresponsive
from tests.ssh.server import Server, public, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERVAL, COUNT_MAX = 1, 2
SSH_EXIT_LOST = 255


@pytest.fixture
def background() -> Iterator[BackgroundLoop]:
    with BackgroundLoop() as background:
        yield background


def start_server(
    sandbox: Sandbox, background: BackgroundLoop, ignores: Callable[[int, bytes], bool]
) -> Server:
    """Start a server that accepts the sandbox's key."""
    key = asyncssh.read_private_key(str(sandbox.key))
    server = background.enter(serve(sandbox.subdirectory("server"), user_key=key))
    server.ignores = ignores
    sandbox.add_known_host(f"[127.0.0.1]:{server.port}", public(server.host_key))
    return server


@contextmanager
def ssh_tunnel(sandbox: Sandbox, server: Server, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run ssh with the keepalives of the tunnel and a remote forward."""
    options = (f"ServerAliveInterval={INTERVAL}", f"ServerAliveCountMax={COUNT_MAX}")
    flags = [part for option in options for part in ("-o", option)]
    command = sandbox.ssh(server.port, *flags, "-N", "-R", f"{port}:127.0.0.1:9", "127.0.0.1")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as ssh:
        try:
            yield ssh
        finally:
            ssh.kill()


def tunnel(server: Server, port: int, target: object, *lines: str) -> str:
    return tunnel_table("t", server.port, f'remote = "{port}:{target}"', *lines)


def test_a_server_that_ignores_keepalives_ends_ssh_but_not_the_tunnel(
    sandbox: Sandbox, background: BackgroundLoop
) -> None:
    server = start_server(sandbox, background, unresponsive.keepalives)
    port = free_port()
    program = sandbox.program(
        tunnel(
            server,
            port,
            sandbox.service(echo),
            f"keepalive_interval = {INTERVAL}",
            f"keepalive_count_max = {COUNT_MAX}",
        )
    )
    program.up()
    program.wait_until_up()
    with ssh_tunnel(sandbox, server, free_port()) as ssh:
        assert ssh.wait(60) == SSH_EXIT_LOST
    seen = program.wait_for("t", lambda tunnel: tunnel.hops[0].answers_keepalives is False)

    assert (seen.state, seen.restarts) == ("up", 0)
    assert exchange(port, b"hello") == b"hello"
    assert "it does not answer keepalives" in program.log()
    assert "does not answer keepalives" in program.succeed("status")


def test_remote_forwards_work_although_the_server_ignores_keepalives_and_none_are_configured(
    sandbox: Sandbox, background: BackgroundLoop
) -> None:
    server = start_server(sandbox, background, unresponsive.keepalives)
    ports, service = (free_port(), free_port()), sandbox.service(echo)
    program = sandbox.program(tunnel(server, ports[0], service, "keepalive_interval = 0"))
    program.up()
    program.wait_until_up()
    both = f'remote = ["{ports[0]}:{service}", "{ports[1]}:{service}"]'
    program.write_config(
        sandbox.config(tunnel_table("t", server.port, both, "keepalive_interval = 0"))
    )
    program.succeed("reload")
    program.wait_for("t", lambda tunnel: [f.state for f in tunnel.forwards] == ["listening"] * 2)

    for port in ports:
        assert exchange(port, b"hello") == b"hello"


def test_a_jump_host_may_ignore_keepalives(sandbox: Sandbox, background: BackgroundLoop) -> None:
    jump, target = start_server(sandbox, background, unresponsive.keepalives), sandbox.sshd()
    port = free_port()
    program = sandbox.program(
        tunnel_table(
            "t",
            target.port,
            f'jump = "127.0.0.1:{jump.port}"',
            f'remote = "{port}:{sandbox.service(echo)}"',
            f"keepalive_interval = {INTERVAL}",
            f"keepalive_count_max = {COUNT_MAX}",
        )
    )
    program.up()
    program.wait_until_up()
    seen = program.wait_for("t", lambda tunnel: tunnel.hops[0].answers_keepalives is False)

    assert (seen.state, seen.restarts, seen.hops[1].answers_keepalives) == ("up", 0, True)
    assert exchange(port, b"hello") == b"hello"


def test_a_server_that_answers_nothing_after_the_login_is_dead_as_with_ssh(
    sandbox: Sandbox, background: BackgroundLoop
) -> None:
    server = start_server(sandbox, background, unresponsive.everything)
    program = sandbox.program(
        tunnel(
            server,
            free_port(),
            "127.0.0.1:9",
            f"keepalive_interval = {INTERVAL}",
            f"keepalive_count_max = {COUNT_MAX}",
        )
    )
    program.up()
    with ssh_tunnel(sandbox, server, free_port()) as ssh:
        program.wait_for_state("t", "backoff", "peer_dead")
        assert ssh.wait(60) == SSH_EXIT_LOST
    wait_until(lambda: not server.connections)
