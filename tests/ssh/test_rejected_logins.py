"""The limit of concurrent logins is lowered only by a server that closes before its banner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.ssh.links import closed_port, dropping_server, silent_server
from tests.ssh.progress_recorder import ProgressRecorder
from tunnelkeeper.core.concurrency_limit import MAX_LIMIT, SUCCESSES_PER_INCREASE, ConcurrencyLimit
from tunnelkeeper.core.failures import FailureError
from tunnelkeeper.ssh.connect import connect_hop
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from tests.ssh.server import Server
    from tunnelkeeper.core.configuration import Host


async def limit_after_concurrent_failures(host: Host) -> tuple[int, list[str]]:
    """Return the limit after MAX_LIMIT concurrent logins failed, and the log messages."""
    context, progress = SshContext(), ProgressRecorder()
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(
            *(connect_hop(host, None, context, progress) for _ in range(MAX_LIMIT)),
            return_exceptions=True,
        )
    assert all(isinstance(outcome, FailureError) for outcome in outcomes)
    server_state = context.login_limiter._servers.get((host.hostname, host.ports[0]))
    return (server_state.concurrency.limit if server_state else MAX_LIMIT), progress.infos


@pytest.mark.parametrize("error_line", [b"", b"Not allowed at this time\r\n"])
async def test_a_server_that_closes_before_its_banner_lowers_the_limit(
    server: Server, error_line: bytes
) -> None:
    async with dropping_server(error_line) as port:
        limit, messages = await limit_after_concurrent_failures(server.host(ports=(port,)))

    assert limit == 1
    assert f"me@127.0.0.1:{port}: the server closed one of " in messages[0]


async def test_a_server_that_closes_after_its_banner_keeps_the_limit(
    server: Server,
) -> None:
    async with dropping_server(b"SSH-2.0-moody\r\n") as port:
        assert await limit_after_concurrent_failures(server.host(ports=(port,))) == (MAX_LIMIT, [])


async def test_refusals_and_timeouts_keep_the_limit(server: Server) -> None:
    host = server.host(ports=(closed_port(),))
    assert await limit_after_concurrent_failures(host) == (MAX_LIMIT, [])

    async with silent_server() as port:
        host = server.host(ports=(port,), connect_timeout=0.3)
        assert await limit_after_concurrent_failures(host) == (MAX_LIMIT, [])


async def test_a_proxy_command_that_ends_keeps_the_limit(server: Server) -> None:
    host = server.host(proxy_command="true")

    assert await limit_after_concurrent_failures(host) == (MAX_LIMIT, [])


async def test_successful_logins_raise_the_limit_again(server: Server) -> None:
    context, host = SshContext(), server.host()
    name = (host.hostname, host.ports[0])
    async with context.login_limiter.acquire(name):  # concurrently
        context.login_limiter._servers[name].concurrency = ConcurrencyLimit(
            2, SUCCESSES_PER_INCREASE - 1
        )
        connection = await connect_hop(host, None, context, ProgressRecorder())
        await connection.close()

    assert context.login_limiter._servers[name].concurrency == ConcurrencyLimit(3)
