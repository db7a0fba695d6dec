"""Logins that wait for a touch of a security key or a confirmation at the agent."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncssh
import pytest
from asyncssh.packet import SSHPacket, String

from tests.e2e.security_key import SecurityKeyAgent
from tests.forwarding.services import service
from tests.slow_agent import LIST, SIGN, slow_agent
from tests.ssh.attempts import failure_of
from tests.ssh.auth.offers import Agent
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, serve
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.core.questions import Changed, Kind
from tunnelkeeper.ssh.auth import agent as agent_module
from tunnelkeeper.ssh.connect import connect_hop
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.core.questions import Change


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serve(tmp_path) as running:
        yield running


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "USER_PATIENCE", 0.05)


@dataclass
class Watched:
    """A process with what its status and its questions showed."""

    context: SshContext = field(default_factory=SshContext)
    progress: ProgressRecorder = field(default_factory=ProgressRecorder)
    changes: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.questions.subscribe(self.changes.append)

    async def log_in(self, host: Host) -> None:
        async with asyncio.timeout(DEADLINE):
            connection = await connect_hop(host, None, self.context, self.progress)
        await connection.close()

    def is_shown(self, text: str) -> bool:
        """Return whether status shows that the login waits for this now."""
        return self.progress.waits[-1:] == [text]

    def notice(self) -> str:
        """Return the text of the notice that is shown."""
        [question] = self.context.questions.questions
        assert question.subject.kind is Kind.TOUCH
        assert question.tunnels == ("t",)
        return question.text


async def test_a_confirm_key_that_takes_long_shows_a_confirmation(
    server: Server, short_patience: None
) -> None:
    on = Watched()
    async with slow_agent(server.folder / "agent.sock", server.user_key, SIGN) as agent:
        host = server.host(identity_agent=agent.socket, identity_files=())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(on.log_in(host))
            await until(lambda: on.is_shown("waiting for a confirmation"))
            assert on.notice() == (
                f"confirm the use of the key at its agent: the login on {host} waits for the agent "
                "to sign with me@desk"
            )
            agent.may_answer.set()

    assert not on.progress.waits[-1]
    assert on.context.questions.questions == ()


async def test_two_tunnels_that_wait_for_one_key_share_the_notice(
    server: Server, short_patience: None
) -> None:
    first, second = Watched(), Watched()
    second.context.questions = first.context.questions
    second.progress.tunnel = "other"
    board = first.context.questions
    async with (
        slow_agent(server.folder / "a.sock", server.user_key, SIGN) as one,
        slow_agent(server.folder / "b.sock", server.user_key, SIGN) as two,
    ):
        hosts = [
            server.host(identity_agent=agent.socket, identity_files=()) for agent in (one, two)
        ]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(first.log_in(hosts[0]))
            tasks.create_task(second.log_in(hosts[1]))
            await until(lambda: board.questions and len(board.questions[0].tunnels) == 2)
            one.may_answer.set()
            await until(lambda: board.questions[0].tunnels == ("other",))
            two.may_answer.set()
    assert board.questions == ()


async def test_an_agent_that_lists_its_keys_late_is_shown_as_locked(
    server: Server, short_patience: None
) -> None:
    on = Watched()
    async with slow_agent(server.folder / "agent.sock", server.user_key, LIST) as agent:
        host = server.host(identity_agent=agent.socket, identity_files=())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(on.log_in(host))
            await until(lambda: on.is_shown("waiting for the agent"))
            agent.may_answer.set()


async def test_the_notice_ends_with_a_login_that_is_cancelled(
    server: Server, short_patience: None
) -> None:
    on = Watched()
    async with slow_agent(server.folder / "agent.sock", server.user_key, SIGN) as agent:
        host = server.host(identity_agent=agent.socket, identity_files=())
        async with asyncio.TaskGroup() as tasks:
            login = tasks.create_task(on.log_in(host))
            await until(lambda: on.is_shown("waiting for a confirmation"))
            login.cancel()
    assert on.context.questions.questions == ()
    assert on.progress.waits[-1] == ""


@asynccontextmanager
async def security_key(folder: Path, may_touch: asyncio.Event) -> AsyncIterator[SecurityKeyAgent]:
    """Run an agent with a security key whose signature waits for a touch."""
    device = SecurityKeyAgent("ed25519")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while size := await reader.read(4):
            request = await reader.readexactly(int.from_bytes(size))
            if request[0] == SIGN:
                await may_touch.wait()
            writer.write(String(device.answer(SSHPacket(request))))

    async with service(answer, folder / "agent.sock"):
        yield device


async def test_a_security_key_that_is_not_touched_shows_a_touch(
    server: Server, short_patience: None
) -> None:
    on, may_touch = Watched(), asyncio.Event()
    async with security_key(server.folder, may_touch) as device:
        server.user_key = asyncssh.import_public_key(device.public_line())
        host = server.host(identity_agent=str(server.folder / "agent.sock"), identity_files=())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(on.log_in(host))
            await until(lambda: on.is_shown("waiting for a touch"))
            assert on.notice() == (
                f"touch the security key: the login on {host} waits for the agent to sign with "
                "security key"
            )
            may_touch.set()
    assert on.context.questions.questions == ()


def askpass(folder: Path, script: str) -> Agent:
    """Return an agent that runs a script to ask for confirmations."""
    path = folder / "askpass"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return Agent(folder, SSH_ASKPASS=str(path), DISPLAY=":0")


async def test_a_real_agent_that_asks_for_a_confirmation_is_waited_for(
    server: Server, tmp_path: Path
) -> None:
    on, agent = Watched(), askpass(tmp_path, "sleep 1.3; exit 0")
    try:
        await until(agent.is_running)
        agent.run("ssh-add", "-q", "-c", server.user_key_file)
        await on.log_in(server.host(identity_agent=agent.socket))
    finally:
        agent.end()
    assert "waiting for a confirmation" in on.progress.waits
    assert not on.progress.waits[-1]
    assert isinstance(on.changes[0], Changed)
    assert on.context.questions.questions == ()


async def test_a_confirmation_that_is_refused_fails_the_login(
    server: Server, tmp_path: Path
) -> None:
    agent = askpass(tmp_path, "exit 1")
    try:
        await until(agent.is_running)
        agent.run("ssh-add", "-q", "-c", server.user_key_file)
        (tmp_path / "user_key").unlink()
        failure = await failure_of(server.host(identity_agent=agent.socket))
    finally:
        agent.end()
    assert failure.cause is Cause.AUTH
    assert "the agent did not sign with it" in failure.message
