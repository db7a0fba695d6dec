"""Takeover: a client that reconnects takes over its older bindings, and no one else's."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.forwarding.services import echo, exchange, service, source
from tests.relay.in_process_relay import HERE, Served, new_key, serving
from tests.ssh.waiting import until
from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.relay.config import RelayLimits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SOON = RelayLimits(penalties=False, keepalive=Keepalive(interval=0.3, count_max=3))


class BlackHole:
    """A TCP proxy that can silently drop all data in both directions."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._flows = asyncio.Event()
        self._flows.set()
        self.port = 0

    def swallow(self) -> None:
        self._flows.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            carrying: list[asyncio.Task[None]] = []

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                far_reader, far_writer = await asyncio.open_connection(HERE, self._target)
                carrying.append(tasks.create_task(self._carry(reader, far_writer)))
                carrying.append(tasks.create_task(self._carry(far_reader, writer)))

            server = await asyncio.start_server(serve, HERE, 0)
            self.port = server.sockets[0].getsockname()[1]
            try:
                yield
            finally:
                server.close()
                for task in carrying:
                    task.cancel()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._flows.wait()
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def black_hole(target: int) -> AsyncIterator[BlackHole]:
    hole = BlackHole(target)
    async with hole.running():
        yield hole


async def test_the_newer_connection_of_a_key_gets_the_port_at_once(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tunnelkeeper")
    async with (
        service(source(b"old")) as old,
        service(source(b"new")) as new,
        served.client() as older,
        served.client() as newer,
    ):
        port = (await older.forward_remote_port("", 0, HERE, old)).get_port()
        assert await exchange(port, b"") == b"old"

        await newer.forward_remote_port("", port, HERE, new)
        assert await exchange(port, b"") == b"new"
        assert [len(client.holds) for client in served.clients] == [0, 1]
    assert f"took localhost:{port} over from box@127.0.0.1:" in caplog.text


async def test_a_name_is_taken_over_too(served: Served) -> None:
    async with service(echo) as port, served.client() as older, served.client() as newer:
        await older.forward_remote_port("home", 22, HERE, 1)
        await newer.forward_remote_port("home", 22, HERE, port)
        reader, writer = await older.open_connection("home", 22)
        writer.write(b"the second")
        writer.write_eof()
        assert await reader.read() == b"the second"
        assert served.held == ["home:22"]


@pytest.mark.parametrize("host", ["", "home"])
async def test_a_binding_of_another_key_is_never_taken_over(served: Served, host: str) -> None:
    other_key = new_key()
    served.authorize(other_key)
    async with (
        service(echo) as echoing,
        served.client() as older,
        served.client(other_key) as other,
    ):
        wanted = 0 if not host else 22
        port = (await older.forward_remote_port(host, wanted, HERE, echoing)).get_port()
        with pytest.raises(asyncssh.ChannelListenError):
            await other.forward_remote_port(host, port, HERE, 9)
        assert [len(client.holds) for client in served.clients] == [1, 0]
        if not host:
            assert await exchange(port, b"still the first") == b"still the first"


async def test_a_binding_of_another_user_is_not_taken_over_with_the_same_key(
    served: Served,
) -> None:
    async with served.client(user="one") as older, served.client(user="two") as other:
        port = (await older.forward_remote_port("", 0, HERE, 9)).get_port()
        with pytest.raises(asyncssh.ChannelListenError):
            await other.forward_remote_port("", port, HERE, 9)


async def test_a_connection_does_not_take_over_its_own_port(served: Served) -> None:
    async with served.client() as connection:
        port = (await connection.forward_remote_port("", 0, HERE, 9)).get_port()
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("", port, HERE, 9)


async def test_an_older_connection_that_answers_stays_open_without_the_port(tmp_path: Path) -> None:
    async with serving(tmp_path, limits=SOON) as served, served.client() as older:
        port = (await older.forward_remote_port("", 0, HERE, 9)).get_port()
        async with served.client() as newer:
            await newer.forward_remote_port("", port, HERE, 9)
            transport = served.relay._clients[0].transport
            assert transport._tasks  # the probe for liveness
            await until(lambda: not transport._tasks)
            assert [len(client.holds) for client in served.clients] == [0, 1]


async def test_a_client_behind_a_black_hole_can_reconnect(tmp_path: Path) -> None:
    for_ever = RelayLimits(penalties=False, keepalive=Keepalive(interval=0.3, count_max=10_000))
    async with (
        serving(tmp_path, limits=for_ever) as served,
        black_hole(served.port) as hole,
        service(echo) as echoing,
        asyncio.timeout(30),
        served.client(port=hole.port) as older,
    ):
        port = (await older.forward_remote_port("", 0, HERE, 9)).get_port()
        hole.swallow()
        async with served.client() as newer:
            await newer.forward_remote_port("", port, HERE, echoing)
            assert await exchange(port, b"back") == b"back"
            await until(lambda: len(served.clients) == 1)
            assert served.clients[0].holds != []
        older.abort()


async def test_a_client_that_answers_no_keepalive_is_dropped(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, limits=SOON) as served,
        black_hole(served.port) as hole,
        served.client(port=hole.port) as connection,
    ):
        await connection.forward_remote_port("home", 22, HERE, 9)
        hole.swallow()
        await until(lambda: not served.clients, within=10 * SOON.keepalive.interval)
        assert served.held == []
        connection.abort()
