from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from tests.forwarding.services import blob, echo, exchange, service
from tests.forwarding.sites import local_site
from tests.ssh.attempts import no_leaks
from tests.ssh.links import closed_port
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, serve
from tests.ssh.waiting import until
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.ssh.connection_pool import ConnectionPool, HopConnections
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.ssh.connection_pool import HostChain


@dataclass
class Hosts:
    """Two jump hosts and a final one."""

    first: Server
    second: Server
    final: Server

    @property
    def one_jump(self) -> HostChain:
        return (self.first.host(), self.final.host())

    @property
    def two_jumps(self) -> HostChain:
        return (self.first.host(), self.second.host(), self.final.host())


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[Hosts]:
    folders = [tmp_path / name for name in ("first", "second", "final")]
    for folder in folders:
        folder.mkdir()
    async with serve(folders[0]) as first, serve(folders[1]) as second, serve(folders[2]) as final:
        yield Hosts(first, second, final)


@pytest.fixture
async def pool(hosts: Hosts) -> AsyncIterator[ConnectionPool]:
    async with asyncio.timeout(30), ConnectionPool(SshContext()) as pool:
        yield pool


async def until_disconnected(*servers: Server) -> None:
    await until(lambda: not any(server.connections for server in servers))


# Sharing


async def test_a_host_without_jumps_is_connected_directly(
    hosts: Hosts, pool: ConnectionPool
) -> None:
    chain = await pool.connect((hosts.final.host(),), ProgressRecorder())

    assert chain.hops == [chain.connection]
    assert pool._connections == {}
    await chain.close()


async def test_chains_through_the_same_jump_host_share_its_connection(
    hosts: Hosts, pool: ConnectionPool
) -> None:
    chain1, chain2 = await asyncio.gather(
        *(pool.connect(hosts.one_jump, ProgressRecorder()) for _ in range(2))
    )

    assert len(hosts.first.connections) == 1
    assert len(hosts.final.connections) == 2
    assert chain1.hops[0] is chain2.hops[0]

    await chain1.close()
    assert not chain2.connection.is_closed
    assert len(hosts.first.connections) == 1

    await chain2.close()
    await until_disconnected(hosts.first, hosts.final)
    assert pool._connections == {}


async def test_a_jump_host_behind_other_hosts_gets_its_own_connection(
    hosts: Hosts, pool: ConnectionPool
) -> None:
    chain1 = await pool.connect(hosts.one_jump, ProgressRecorder())
    jump, final = hosts.one_jump
    chain2 = await pool.connect((replace(jump, compression=True), final), ProgressRecorder())

    assert len(hosts.first.connections) == 2
    await chain1.close()
    await chain2.close()


async def test_hops_are_listed_in_order_and_carry_data(hosts: Hosts, pool: ConnectionPool) -> None:
    data = blob(1 << 20)
    chain = await pool.connect(hosts.two_jumps, ProgressRecorder())

    assert [hop.host.ports[0] for hop in chain.hops] == [
        server.port for server in (hosts.first, hosts.second, hosts.final)
    ]
    async with (
        service(echo) as port,
        local_site(TcpAddress("127.0.0.1", port), chain.connection) as site,
    ):
        assert await exchange(site.port, data) == data
    await chain.close()
    await until_disconnected(hosts.first, hosts.second, hosts.final)


async def test_chains_with_the_same_first_jump_host_share_it(
    hosts: Hosts, pool: ConnectionPool
) -> None:
    longer = await pool.connect(hosts.two_jumps, ProgressRecorder())
    shorter = await pool.connect(hosts.one_jump, ProgressRecorder())

    assert len(hosts.first.connections) == 1
    assert longer.hops[0] is shorter.hops[0]

    await longer.close()
    assert not shorter.connection.is_closed
    await until_disconnected(hosts.second)
    await shorter.close()
    await until_disconnected(hosts.first)


async def test_steps_are_reported_to_the_first_user_of_a_connection(
    hosts: Hosts, pool: ConnectionPool
) -> None:
    progress = ProgressRecorder()
    chain = await pool.connect(hosts.one_jump, progress)

    jump, final = (str(host) for host in hosts.one_jump)
    assert [hop for hop, _ in progress.steps] == [jump] * 6 + [final] * 4
    assert progress.step_names[0] == "connect"
    await chain.close()


async def test_a_lost_jump_host_is_connected_again(hosts: Hosts, pool: ConnectionPool) -> None:
    lost = await pool.connect(hosts.one_jump, ProgressRecorder())
    hosts.first.drop()
    await lost.connection.wait_ended()
    new = await pool.connect(hosts.one_jump, ProgressRecorder())

    assert new.hops[0] is not lost.hops[0]

    await lost.close()  # must not close the new connection
    assert not new.connection.is_closed
    shared = await pool.connect(hosts.one_jump, ProgressRecorder())
    assert shared.hops[0] is new.hops[0]
    await shared.close()
    await new.close()


# Failing


async def test_a_failed_jump_host_fails_all_waiters_and_is_tried_again_next_time(
    hosts: Hosts, pool: ConnectionPool
) -> None:
    hosts.first.refuse_logins = True
    waiting = [pool.connect(hosts.one_jump, ProgressRecorder()) for _ in range(3)]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert hosts.first.logins == ["me"]  # one attempt serves all waiters
    for outcome in outcomes:
        assert isinstance(outcome, FailureError)
        assert outcome.failure.cause is Cause.AUTH
        assert outcome.failure.hop == str(hosts.first.host())
    assert pool._connections == {}

    hosts.first.refuse_logins = False
    chain = await pool.connect(hosts.one_jump, ProgressRecorder())
    await chain.close()


async def test_a_user_that_comes_after_the_failure_starts_a_new_attempt(
    hosts: Hosts, pool: ConnectionPool
) -> None:
    hosts.first.refuse_logins = True
    pooled = pool._acquire(hosts.one_jump[:-1], ProgressRecorder())
    await asyncio.wait([pooled.task])
    assert pooled.is_unusable

    hosts.first.refuse_logins = False
    chain = await pool.connect(hosts.one_jump, ProgressRecorder())
    await pooled.release()  # must not remove the new connection

    assert pool._connections[hosts.one_jump[:-1]].users == 1
    await chain.close()


async def test_a_final_host_that_fails_releases_its_jump_host(
    hosts: Hosts, pool: ConnectionPool
) -> None:
    jump, final = hosts.one_jump
    with pytest.raises(FailureError) as failed:
        await pool.connect((jump, replace(final, ports=(closed_port(),))), ProgressRecorder())

    assert failed.value.failure.cause is Cause.REFUSED
    await until_disconnected(hosts.first)
    assert pool._connections == {}


async def test_a_final_host_that_fails_leaves_the_jump_host_to_its_other_users(
    hosts: Hosts, pool: ConnectionPool
) -> None:
    jump, final = hosts.one_jump
    chain = await pool.connect(hosts.one_jump, ProgressRecorder())
    with pytest.raises(FailureError):
        await pool.connect((jump, replace(final, ports=(closed_port(),))), ProgressRecorder())

    assert not chain.connection.is_closed
    await chain.close()


# Cancelling


async def test_cancelling_one_user_leaves_the_attempt_to_the_others(
    hosts: Hosts, pool: ConnectionPool
) -> None:
    hosts.first.may_log_in.clear()
    async with asyncio.TaskGroup() as tasks:
        cancelled = tasks.create_task(pool.connect(hosts.one_jump, ProgressRecorder()))
        waiting = tasks.create_task(pool.connect(hosts.one_jump, ProgressRecorder()))
        await until(lambda: hosts.first.logins)
        cancelled.cancel()
        await until(cancelled.done)
        hosts.first.may_log_in.set()

    assert cancelled.cancelled()
    assert hosts.first.logins == ["me"]
    await waiting.result().close()
    await until_disconnected(hosts.first, hosts.final)


async def test_cancelling_all_users_ends_the_attempt_and_leaks_nothing(
    hosts: Hosts, pool: ConnectionPool
) -> None:
    hosts.first.may_log_in.clear()
    async with no_leaks():
        async with asyncio.TaskGroup() as tasks:
            waiting = [
                tasks.create_task(pool.connect(hosts.one_jump, ProgressRecorder()))
                for _ in range(3)
            ]
            await until(lambda: hosts.first.logins)
            for task in waiting:
                task.cancel()
        hosts.first.may_log_in.set()
        await until_disconnected(hosts.first)

    assert pool._connections == {}


@pytest.mark.parametrize("blocked_hop", ["first", "second", "final"])
async def test_cancelling_at_any_hop_leaks_nothing(
    hosts: Hosts, pool: ConnectionPool, blocked_hop: str
) -> None:
    server: Server = getattr(hosts, blocked_hop)
    server.may_log_in.clear()
    async with no_leaks():
        async with asyncio.TaskGroup() as tasks:
            attempt = tasks.create_task(pool.connect(hosts.two_jumps, ProgressRecorder()))
            await until(lambda: server.logins)
            attempt.cancel()
        server.may_log_in.set()
        await until_disconnected(hosts.first, hosts.second, hosts.final)

    assert pool._connections == {}


async def test_a_pooled_connection_whose_attempt_was_cancelled_is_unusable(
    hosts: Hosts, pool: ConnectionPool
) -> None:
    hosts.first.may_log_in.clear()
    pooled = pool._acquire(hosts.one_jump[:-1], ProgressRecorder())
    await until(lambda: hosts.first.logins)

    pooled.task.cancel()
    await asyncio.wait([pooled.task])

    assert pooled.is_unusable
    await pooled.release()


async def test_cancelling_the_close_still_releases_the_jump_host(
    hosts: Hosts, pool: ConnectionPool
) -> None:
    chain = await pool.connect(hosts.one_jump, ProgressRecorder())
    async with asyncio.TaskGroup() as tasks:
        closing = tasks.create_task(chain.close())
        await asyncio.wait([closing], timeout=0)
        closing.cancel()

    await until_disconnected(hosts.first, hosts.final)
    assert pool._connections == {}


async def test_closing_the_pool_cancels_its_attempts(hosts: Hosts) -> None:
    hosts.first.may_log_in.clear()
    failed: list[BaseException] = []

    async def connect(pool: ConnectionPool) -> HopConnections:
        try:
            return await pool.connect(hosts.one_jump, ProgressRecorder())
        except asyncio.CancelledError as error:
            failed.append(error)
            raise

    async with no_leaks():
        async with (
            asyncio.timeout(10),
            asyncio.TaskGroup() as tasks,
            ConnectionPool(SshContext()) as pool,
        ):
            tasks.create_task(connect(pool))
            await until(lambda: hosts.first.logins)
        hosts.first.may_log_in.set()
        await until_disconnected(hosts.first)

    assert len(failed) == 1
