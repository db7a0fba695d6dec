"""The limit of concurrent logins is learnt only from a server that closes before its banner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.ssh.links import closed_port, dropping, silent
from tests.ssh.progress_recorder import ProgressRecorder
from tunnelkeeper.core.concurrency_limit import MAX_LIMIT, SUCCESSES_PER_INCREASE, ConcurrencyLimit
from tunnelkeeper.core.failures import FailureError
from tunnelkeeper.ssh.connect import connect_hop
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from tests.ssh.server import Server
    from tunnelkeeper.core.configuration import Host


async def allowed_after_all_at_once(host: Host) -> tuple[int, list[str]]:
    """Return the limit after MOST logins failed together, and the log messages."""
    shared, notes = SshContext(), ProgressRecorder()
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(
            *(connect_hop(host, None, shared, notes) for _ in range(MAX_LIMIT)),
            return_exceptions=True,
        )
    assert all(isinstance(outcome, FailureError) for outcome in outcomes)
    door = shared.login_limiter._servers.get((host.hostname, host.ports[0]))
    return (door.concurrency.limit if door else MAX_LIMIT), notes.infos


@pytest.mark.parametrize("last_words", [b"", b"Not allowed at this time\r\n"])
async def test_a_server_that_closes_before_its_banner_lowers_the_limit(
    server: Server, last_words: bytes
) -> None:
    async with dropping(last_words) as port:
        at_once, said = await allowed_after_all_at_once(server.host(ports=(port,)))

    assert at_once == 1
    assert f"me@127.0.0.1:{port}: the server closed one of " in said[0]


async def test_a_server_that_closes_after_its_banner_keeps_the_limit(
    server: Server,
) -> None:
    async with dropping(b"SSH-2.0-moody\r\n") as port:
        assert await allowed_after_all_at_once(server.host(ports=(port,))) == (MAX_LIMIT, [])


async def test_refusals_and_timeouts_keep_the_limit(server: Server) -> None:
    refuses = server.host(ports=(closed_port(),))
    assert await allowed_after_all_at_once(refuses) == (MAX_LIMIT, [])

    async with silent() as port:
        host = server.host(ports=(port,), connect_timeout=0.3)
        assert await allowed_after_all_at_once(host) == (MAX_LIMIT, [])


async def test_a_proxy_command_that_ends_keeps_the_limit(server: Server) -> None:
    host = server.host(proxy_command="true")

    assert await allowed_after_all_at_once(host) == (MAX_LIMIT, [])


async def test_successful_logins_raise_the_limit_again(server: Server) -> None:
    shared, host = SshContext(), server.host()
    name = (host.hostname, host.ports[0])
    for _ in range(2):  # together
        await shared.login_limiter.acquire(name).__aenter__()
    shared.login_limiter._servers[name].concurrency = ConcurrencyLimit(
        2, SUCCESSES_PER_INCREASE - 1
    )
    shared.login_limiter._servers[name].in_progress -= 1

    connection = await connect_hop(host, None, shared, ProgressRecorder())
    await connection.close()

    assert shared.login_limiter._servers[name].concurrency == ConcurrencyLimit(3)
