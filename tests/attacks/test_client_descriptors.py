"""One server, or one local client, cannot take the descriptors of other tunnels."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import asyncssh
import psutil
from asyncssh.constants import OPEN_RESOURCE_SHORTAGE

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.sandbox import tunnel_table
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tests.ssh.server import Server, public, serve

if TYPE_CHECKING:
    from tests.e2e.program import Program
    from tests.e2e.sandbox import Sandbox

LIMIT = 160
RESERVE = LIMIT // 4


def limit_descriptors(program: Program) -> psutil.Process:
    """Lower the limit of the supervisor."""
    process = psutil.Process(program.status().supervisor.pid)
    process.rlimit(psutil.RLIMIT_NOFILE, (LIMIT, LIMIT))
    return process


def assert_serves(program: Program, name: str, port: int) -> None:
    """Check that a tunnel serves clients, before and after a new login."""
    assert exchange(port, b"hello") == b"hello"
    program.succeed("restart", name)
    program.wait_until_up(name)
    assert exchange(port, b"again") == b"again"


async def open_channels(server: Server, port: int) -> str:
    """Open channels to the client until it refuses them; return the reason."""
    [victim] = server.connections
    connection: Any = victim
    while True:
        opening = [
            connection.create_connection(asyncssh.SSHTCPSession, "localhost", port, "127.0.0.1", 9)
            for _ in range(LIMIT)
        ]
        for result in await asyncio.gather(*opening, return_exceptions=True):
            if isinstance(result, asyncssh.ChannelOpenError):
                assert result.code == OPEN_RESOURCE_SHORTAGE
                return result.reason


async def test_a_server_that_opens_channels_without_end_affects_no_other_tunnel(
    sandbox: Sandbox,
) -> None:
    target, remote_port, port = sandbox.service(echo), free_port(), free_port()
    key = asyncssh.read_private_key(str(sandbox.key))
    honest = sandbox.sshd()
    async with serve(sandbox.subdirectory("hostile"), user_key=key) as hostile:
        sandbox.add_known_host(f"[127.0.0.1]:{hostile.port}", public(hostile.host_key))
        program = sandbox.program(
            tunnel_table("bad", hostile.port, f'remote = "{remote_port}:{target}"'),
            tunnel_table("good", honest.port, f'local = "{port}:{target}"'),
        )
        await asyncio.to_thread(program.up)
        await asyncio.to_thread(program.wait_until_up)
        process = limit_descriptors(program)

        reason = await open_channels(hostile, remote_port)
        used = process.num_fds()
        await asyncio.to_thread(assert_serves, program, "good", port)
        bad = await asyncio.to_thread(program.tunnel, "bad")
        await asyncio.to_thread(program.stop)

    assert reason.startswith("too many connections are open: the server of bad has used its share")
    assert LIMIT // 4 < used < LIMIT - RESERVE
    assert bad.state == "up"
    failure = bad.forwards[0].client_failure
    assert failure is not None
    assert failure.count > 1
    assert program.log().count(failure.message) == 1


def test_a_local_client_that_opens_connections_without_end_affects_no_other_tunnel(
    sandbox: Sandbox,
) -> None:
    target, greedy, port = sandbox.service(echo), free_port(), free_port()
    server = sandbox.sshd()
    program = sandbox.program(
        tunnel_table("bad", server.port, f'local = "{greedy}:{target}"'),
        tunnel_table("good", server.port, f'local = "{port}:{target}"'),
    )
    program.up()
    program.wait_until_up()
    process = limit_descriptors(program)

    with ExitStack() as stack:
        for _ in range(LIMIT):
            stack.enter_context(socket.create_connection(("127.0.0.1", greedy), 20))
        wait_until(lambda: "has used its share" in program.log(), message="no client waits")
        assert LIMIT // 4 < process.num_fds() < LIMIT - RESERVE
        assert_serves(program, "good", port)

    wait_until(lambda: exchange(greedy, b"hello") == b"hello", message="the forward stays blocked")
    assert "clients wait: too many connections are open: the forward" in program.log()
