from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

from tests.ssh.attempts import cancel_at_step, failure_of, no_leaks
from tests.ssh.links import full_backlog, silent_server
from tests.ssh.server import Server, jump_host
from tests.ssh.waiting import until
from tunnelkeeper.net import dial

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_cancelling_while_resolving_leaks_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(dial, "resolve", never)
    async with no_leaks():
        await cancel_at_step("resolve", server.host())


async def test_cancelling_while_connecting_leaks_nothing(server: Server) -> None:
    with full_backlog() as (_, port):
        async with no_leaks():
            await cancel_at_step("connect", server.host(ports=(port,)))


async def test_cancelling_during_the_key_exchange_leaks_nothing(server: Server) -> None:
    async with silent_server() as port, no_leaks():
        await cancel_at_step("key_exchange", server.host(ports=(port,)))


async def test_cancelling_during_the_login_leaks_nothing(server: Server) -> None:
    server.may_log_in.clear()
    async with no_leaks():
        await cancel_at_step("login", server.host())
        server.may_log_in.set()  # the task of the login waits for this
        await until(lambda: not server.connections)


async def test_cancelling_behind_a_jump_host_leaks_nothing(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with jump_host(tmp_path) as (jump, jump_connection):
        jump.may_open.clear()
        async with no_leaks():
            await cancel_at_step("connect", server.host(), jump_connection)
            jump.may_open.set()
            await until(lambda: not jump_connection.transport._channels and not server.connections)

        server.may_log_in.clear()
        async with no_leaks():
            await cancel_at_step("login", server.host(), jump_connection)
            server.may_log_in.set()
            await until(lambda: not jump_connection.transport._channels and not server.connections)
    gc.collect()  # a future's unretrieved exception is logged when it is collected
    assert not caplog.records


async def test_a_failed_attempt_leaks_nothing(server: Server) -> None:
    server.refuse_logins = True
    async with no_leaks():
        await failure_of(server.host())
        await until(lambda: not server.connections)
