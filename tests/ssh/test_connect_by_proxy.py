from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import psutil

from tests.ssh.attempts import cancel_at_step, failure_of, no_leaks
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, connected
from tests.ssh.waiting import until
from tunnelkeeper.core.failures import Cause

if TYPE_CHECKING:
    import pytest


def with_proxy_command(program: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"


def relaying_to(port: int, text: str = "") -> str:
    """Return a command that connects its standard input and output to a port."""
    return with_proxy_command(
        "import os, select, socket, sys\n"
        f"sys.stderr.write({text!r}); sys.stderr.flush()\n"
        f"s = socket.create_connection(('127.0.0.1', {port}))\n"
        "while True:\n"
        "    for r in select.select([0, s], [], [])[0]:\n"
        "        data = os.read(0, 65536) if r == 0 else s.recv(65536)\n"
        "        if not data: sys.exit()\n"
        "        s.sendall(data) if r == 0 else os.write(1, data)\n"
    )


async def test_a_proxy_command_reaches_the_server_and_ends_with_the_connection(
    server: Server,
) -> None:
    progress = ProgressRecorder()
    host = server.host(proxy_command=relaying_to(server.port, "through the proxy\n"))
    async with connected(host, progress) as connection:
        assert connection._proxy is not None
        pid = connection._proxy.pid
        assert pid is not None

        assert progress.infos == ["proxy command: through the proxy"]
        assert progress.step_names == ["connect", "key_exchange", "host_key", "login"]
        assert psutil.pid_exists(pid)

    await until(lambda: not psutil.pid_exists(pid))


async def test_a_proxy_command_is_ended_when_the_server_hangs_up(server: Server) -> None:
    host = server.host(proxy_command=relaying_to(server.port))
    async with connected(host) as connection:
        assert connection._proxy is not None
        pid = connection._proxy.pid
        assert pid is not None
        server.drop()
        await connection.wait_ended()

        await until(lambda: not psutil.pid_exists(pid))


async def test_a_failed_proxy_command_is_reported_with_its_status_and_last_line(
    server: Server,
) -> None:
    progress = ProgressRecorder()
    host = server.host(proxy_command="sh -c 'echo no route >&2; exit 3'")
    failure = await failure_of(host, progress)

    assert failure.cause is Cause.PROXY
    assert failure.message == "the proxy command ended with exit status 3: no route"
    assert progress.infos == ["proxy command: no route"]


async def test_a_proxy_command_that_cannot_be_run_is_reported(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/no/such/shell")
    failure = await failure_of(server.host(proxy_command="nc relay 22"))

    assert failure.hop == str(server.host())
    assert failure.cause is Cause.PROXY
    assert "No such file or directory: '/no/such/shell'" in failure.message


async def test_a_login_refused_through_a_proxy_command_ends_the_command(server: Server) -> None:
    server.refuse_logins = True
    async with no_leaks():
        failure = await failure_of(server.host(proxy_command=relaying_to(server.port)))
        await until(lambda: not server.connections)
        await until(lambda: not psutil.Process().children())

    assert failure.cause is Cause.AUTH


async def test_cancelling_behind_a_proxy_command_leaks_nothing(server: Server) -> None:
    async with no_leaks():
        await cancel_at_step("key_exchange", server.host(proxy_command="sleep 60"))
        await until(lambda: not psutil.Process().children())
