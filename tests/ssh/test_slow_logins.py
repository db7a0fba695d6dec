"""Logins that wait for a person or for the server, longer than connect_timeout."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.slow_agent import EXTENSION, LIST, SIGN, SlowAgent, slow_agent
from tests.ssh.attempts import failure_at_the_deadline, failure_of
from tests.ssh.links import closed_port
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, connected, jump_host, new_key, serve, write_key
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.concurrency_limit import MAX_LIMIT
from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.ssh import connect
from tunnelkeeper.ssh.auth import agent as agent_module
from tunnelkeeper.ssh.auth import identities
from tunnelkeeper.ssh.connect import ConnectAttempt, connect_hop
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncssh

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.ssh.connection import Connection


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "USER_PATIENCE", 0.05)


@asynccontextmanager
async def held_key(server: Server, *slow: int) -> AsyncIterator[tuple[SlowAgent, Host]]:
    """Run an agent that holds the server's user key; yield it and a host that uses it alone."""
    async with slow_agent(server.folder / "agent.sock", server.user_key, *slow) as agent:
        yield (
            agent,
            server.host(identity_agent=agent.socket, identity_files=()),
        )


async def connect_late(host: Host, agent: SlowAgent, via: Connection | None = None) -> None:
    """Connect while the agent answers late. connect_timeout must not apply meanwhile."""
    loop = asyncio.get_running_loop()
    progress = ProgressRecorder()
    attempt = ConnectAttempt(host, host.ports[0], via, SshContext(), progress)
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(attempt.run())
        await until(lambda: any("waits for the agent" in line for line in progress.infos))
        deadline = attempt.deadline.when()
        assert deadline is not None
        assert deadline > loop.time() + host.connect_timeout
        agent.may_answer.set()
        connection = await running
    await connection.close()


@pytest.mark.parametrize("request_number", [EXTENSION, LIST, SIGN])
async def test_an_agent_that_answers_after_connect_timeout_logs_in(
    server: Server, request_number: int
) -> None:
    async with held_key(server, request_number) as (agent, host):
        await connect_late(host, agent)

        assert agent.requests.count(request_number) == 1


async def test_an_agent_may_be_slow_behind_a_jump_host(server: Server, tmp_path: Path) -> None:
    async with (
        held_key(server, SIGN) as (agent, host),
        jump_host(tmp_path) as (_, jump_connection),
    ):
        await connect_late(host, agent, jump_connection)


async def test_a_server_that_takes_longer_than_connect_timeout_is_waited_for(
    server: Server,
) -> None:
    loop = asyncio.get_running_loop()
    server.may_log_in.clear()
    progress = ProgressRecorder()
    host = server.host(connect_timeout=15)
    attempt = ConnectAttempt(host, host.ports[0], None, SshContext(), progress)
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(attempt.run())
        await until(lambda: server.logins)
        assert attempt.slow_login is not None
        assert attempt.slow_login.when() <= loop.time() + host.connect_timeout
        attempt.slow_login._run()  # the time is over
        server.may_log_in.set()
        connection = await running
    await connection.close()

    [info] = progress.infos
    assert info.endswith(": the login is not done after 15 s; waiting for the server")


async def failure_of_a_slow_login(host: Host) -> Failure:
    """Return the failure of a login that ends while the agent is slow."""
    progress = ProgressRecorder()
    return await failure_at_the_deadline(host, lambda _: bool(progress.infos), progress)


async def test_an_absent_touch_needs_a_user(server: Server) -> None:
    async with held_key(server, SIGN) as (_, host):
        failure = await failure_of_a_slow_login(host)

    assert failure.cause is Cause.ANSWER_NEEDED
    assert failure.needs_user
    assert "sign with me@desk" in failure.message
    assert "touch" in failure.hint


async def test_an_agent_that_never_lists_its_keys_needs_a_user(server: Server) -> None:
    async with held_key(server, LIST) as (_, host):
        failure = await failure_of_a_slow_login(host)

    assert failure.cause is Cause.ANSWER_NEEDED
    assert "list its keys" in failure.message
    assert "ssh-add -L" in failure.hint


async def test_a_server_that_gives_up_on_the_person_does_not_cause_another_request(
    server: Server,
) -> None:
    progress = ProgressRecorder()
    async with (
        held_key(server, SIGN) as (agent, host),
        asyncio.timeout(DEADLINE),
        asyncio.TaskGroup() as tasks,
    ):
        two_ports = replace(host, ports=(server.port, server.port))
        attempt = tasks.create_task(failure_of(two_ports, progress))
        await until(lambda: progress.infos)
        server.drop()
        failure = await attempt

        assert agent.requests == [EXTENSION, LIST, SIGN]
    assert failure.cause is Cause.ANSWER_NEEDED


async def test_a_security_key_without_an_agent_may_need_a_touch_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key("ecdsa-sha2-nistp256")
    touched = threading.Event()
    sign = type(key).sign

    def sign_when_touched(self: asyncssh.SSHKey, *arguments: bytes) -> bytes:
        touched.wait(DEADLINE)
        return sign(self, *arguments)

    async with serve(tmp_path, user_key=key) as server:
        monkeypatch.setattr(type(key), "use_executor", True)
        monkeypatch.setattr(type(key), "sign", sign_when_touched)
        try:
            failure = await failure_of_a_slow_login(server.host())
        finally:
            touched.set()
        async with connected(server.host()) as connection:
            assert not connection.is_closed

    assert failure.cause is Cause.ANSWER_NEEDED
    assert f"the security key of {server.user_key_file} to sign" in failure.message


async def test_a_login_that_hangs_is_not_tried_at_the_next_port(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "LOGIN_TIMEOUT", 0.3)
    server.may_log_in.clear()
    failure = await failure_of(server.host(ports=(server.port, closed_port())))

    assert failure.cause is Cause.TIMEOUT
    assert failure.hop == f"me@127.0.0.1:{server.port}"


async def test_logins_that_wait_for_a_person_do_not_hold_up_others(server: Server) -> None:
    context = SshContext()
    async with (
        held_key(server, SIGN) as (agent, host),
        asyncio.timeout(DEADLINE),
        asyncio.TaskGroup() as tasks,
    ):
        waiting = [
            tasks.create_task(connect_hop(host, None, context, ProgressRecorder()))
            for _ in range(MAX_LIMIT)
        ]
        await until(lambda: agent.requests.count(SIGN) == MAX_LIMIT)
        other = await connect_hop(server.host(), None, context, ProgressRecorder())
        assert not any(attempt.done() for attempt in waiting)
        agent.may_answer.set()
        for connection in [other, *[await attempt for attempt in waiting]]:
            await connection.close()


async def test_an_agent_that_is_unlocked_late_is_used_after_the_key_files(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "AGENT_TIMEOUT", 0.05)
    wrong = write_key(tmp_path / "wrong", new_key())
    async with held_key(server, LIST) as (agent, host):
        await connect_late(replace(host, identity_files=(wrong,)), agent)

    assert len(set(server.offered)) == 2


async def test_a_key_file_logs_in_while_the_agent_hangs(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "AGENT_TIMEOUT", 0.05)
    async with (
        held_key(server, LIST) as (agent, _),
        connected(server.host(identity_agent=agent.socket)) as connection,
    ):
        assert not connection.is_closed
