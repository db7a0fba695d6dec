"""Logins that take longer than connect_timeout, beside ssh, whose ConnectTimeout ends earlier."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.e2e.sandbox import USER, Sandbox, host_table, socks_tunnel
from tests.e2e.waiting import wait_until
from tests.faults.background_loop import BackgroundLoop
from tests.requirements import require
from tests.slow_agent import LIST, SIGN, SlowAgent, slow_agent

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = "connect_timeout = 0.5"
"""Shorter than the time after which the program logs that it waits."""


@pytest.fixture
def background() -> Iterator[BackgroundLoop]:
    with BackgroundLoop() as background:
        yield background


def start_agent(sandbox: Sandbox, background: BackgroundLoop, *slow: int) -> SlowAgent:
    """Start an agent with the sandbox's key."""
    key = asyncssh.read_private_key(str(sandbox.key))
    return background.enter(slow_agent(sandbox.directory / "agent.sock", key, *slow))


def head(sandbox: Sandbox, agent: SlowAgent) -> str:
    """Return the config tables that make every host use the agent's key alone."""
    return (
        "[supervisor]\nssh_config = false\n"
        f'[defaults]\nuser = "{USER}"\nknown_hosts = "{sandbox.known_hosts}"\n'
        f'identity_agent = "{agent.socket}"\nidentity_files = []\n{TIMEOUT}\n'
    )


@contextmanager
def ssh_login(sandbox: Sandbox, port: int, agent: SlowAgent) -> Iterator[subprocess.Popen[bytes]]:
    """Run ssh with the agent's key alone and a ConnectTimeout of a second."""
    options = (
        "BatchMode=yes",
        "ConnectTimeout=1",
        "IdentityFile=none",
        f"IdentityAgent={agent.socket}",
        f"UserKnownHostsFile={sandbox.known_hosts}",
    )
    flags = [part for option in options for part in ("-o", option)]
    command = [require("ssh"), "-F", "none", *flags, "-p", str(port), "127.0.0.1", "true"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as ssh:
        try:
            yield ssh
        finally:
            ssh.kill()


@pytest.mark.parametrize("slow_request", [LIST, SIGN])
def test_an_agent_may_answer_after_connect_timeout_as_with_ssh(
    sandbox: Sandbox, background: BackgroundLoop, slow_request: int
) -> None:
    agent = start_agent(sandbox, background, slow_request)
    server = sandbox.sshd()
    program = sandbox.program(socks_tunnel("t", server.port), head=head(sandbox, agent))
    with ssh_login(sandbox, server.port, agent) as ssh:
        wait_until(lambda: agent.requests.count(slow_request) == 1)
        program.up()
        wait_until(lambda: "the login waits for the agent" in program.log())
        assert ssh.poll() is None
        background.call(agent.may_answer.set)
        program.wait_until_up()

        assert ssh.wait(30) == 0
    assert agent.requests.count(slow_request) == 2  # each asked once


def test_an_agent_may_be_slow_at_every_hop(sandbox: Sandbox, background: BackgroundLoop) -> None:
    agent = start_agent(sandbox, background, SIGN)
    jump, target = sandbox.sshd(), sandbox.sshd()
    program = sandbox.program(
        host_table("gate", jump.port),
        socks_tunnel("t", target.port, 'jump = "gate"'),
        head=head(sandbox, agent),
    )
    program.up()
    for server in (jump, target):
        waiting = f":{server.port}: the login waits for the agent"
        wait_until(lambda line=waiting: line in program.log())  # type: ignore[misc]
        background.call(agent.may_answer.set)
        background.call(agent.may_answer.clear)
    program.wait_until_up()

    assert agent.requests.count(SIGN) == 2


def test_a_server_may_be_slow_to_find_the_keys(sandbox: Sandbox) -> None:
    """AuthorizedKeysCommand waits for a pipe, as one does that asks a slow directory server."""
    pipe, empty = sandbox.directory / "pipe", sandbox.directory / "empty"
    empty.touch()
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    server = sandbox.sshd(
        AuthorizedKeysFile="none",
        AuthorizedKeysCommand=f"{require('cat')} {pipe} {sandbox.authorized_keys}",
        AuthorizedKeysCommandUser=USER,
    )
    program = sandbox.program(socks_tunnel("t", server.port, TIMEOUT))
    program.up()
    try:
        wait_until(lambda: "the login is not done after 0.5 s" in program.log())
        assert program.tunnel("t").state == "connecting"
    finally:
        empty.rename(pipe)
        os.close(writer)
    program.wait_until_up()

    assert server.logins() == 1
