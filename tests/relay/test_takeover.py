"""Takeover: a client that reconnects takes over its older bindings, and no one else's."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.forwarding.services import echo, exchange, service, source
from tests.relay.in_process_relay import LOOPBACK, InProcessRelay, new_key, serve_relay
from tests.ssh.waiting import until
from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.relay.config import RelayLimits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SHORT_KEEPALIVE = RelayLimits(penalties=False, keepalive=Keepalive(interval=0.3, count_max=3))


class DroppingProxy:
    """A TCP proxy that can silently drop all data in both directions."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._flows = asyncio.Event()
        self._flows.set()
        self.port = 0

    def start_dropping(self) -> None:
        self._flows.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            copy_tasks: list[asyncio.Task[None]] = []

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                server_reader, server_writer = await asyncio.open_connection(LOOPBACK, self._target)
                copy_tasks.append(tasks.create_task(self._carry(reader, server_writer)))
                copy_tasks.append(tasks.create_task(self._carry(server_reader, writer)))

            server = await asyncio.start_server(serve, LOOPBACK, 0)
            self.port = server.sockets[0].getsockname()[1]
            try:
                yield
            finally:
                server.close()
                for task in copy_tasks:
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
async def dropping_proxy(target: int) -> AsyncIterator[DroppingProxy]:
    proxy = DroppingProxy(target)
    async with proxy.running():
        yield proxy


async def test_the_newer_connection_of_a_key_gets_the_port_at_once(
    relay: InProcessRelay, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tunnelkeeper")
    async with (
        service(source(b"old")) as old,
        service(source(b"new")) as new,
        relay.client() as older,
        relay.client() as newer,
    ):
        port = (await older.forward_remote_port("", 0, LOOPBACK, old)).get_port()
        assert await exchange(port, b"") == b"old"

        await newer.forward_remote_port("", port, LOOPBACK, new)
        assert await exchange(port, b"") == b"new"
        assert [len(client.holds) for client in relay.clients] == [0, 1]
    assert f"took localhost:{port} over from 127.0.0.1:" in caplog.text


async def test_a_name_can_be_taken_over(relay: InProcessRelay) -> None:
    async with service(echo) as port, relay.client() as older, relay.client() as newer:
        await older.forward_remote_port("home", 22, LOOPBACK, 1)
        await newer.forward_remote_port("home", 22, LOOPBACK, port)
        reader, writer = await older.open_connection("home", 22)
        writer.write(b"the second")
        writer.write_eof()
        assert await reader.read() == b"the second"
        assert relay.bound_targets == ["home:22"]


@pytest.mark.parametrize("host", ["", "home"])
async def test_a_binding_of_another_key_is_never_taken_over(
    relay: InProcessRelay, host: str
) -> None:
    other_key = new_key()
    relay.authorize(other_key)
    async with (
        service(echo) as echo_port,
        relay.client() as older,
        relay.client(other_key) as other_client,
    ):
        requested_port = 0 if not host else 22
        port = (
            await older.forward_remote_port(host, requested_port, LOOPBACK, echo_port)
        ).get_port()
        with pytest.raises(asyncssh.ChannelListenError):
            await other_client.forward_remote_port(host, port, LOOPBACK, 9)
        assert [len(client.holds) for client in relay.clients] == [1, 0]
        if not host:
            assert await exchange(port, b"still the first") == b"still the first"


async def test_a_binding_of_another_user_is_not_taken_over_with_the_same_key(
    relay: InProcessRelay,
) -> None:
    async with relay.client(user="one") as older, relay.client(user="two") as other_client:
        port = (await older.forward_remote_port("", 0, LOOPBACK, 9)).get_port()
        with pytest.raises(asyncssh.ChannelListenError):
            await other_client.forward_remote_port("", port, LOOPBACK, 9)


async def test_a_connection_does_not_take_over_its_own_port(relay: InProcessRelay) -> None:
    async with relay.client() as connection:
        port = (await connection.forward_remote_port("", 0, LOOPBACK, 9)).get_port()
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("", port, LOOPBACK, 9)


async def test_an_older_connection_that_answers_stays_open_without_the_port(tmp_path: Path) -> None:
    async with serve_relay(tmp_path, limits=SHORT_KEEPALIVE) as relay, relay.client() as older:
        port = (await older.forward_remote_port("", 0, LOOPBACK, 9)).get_port()
        async with relay.client() as newer:
            await newer.forward_remote_port("", port, LOOPBACK, 9)
            transport = relay.server._clients[0].transport
            assert transport._tasks  # the probe for liveness
            await until(lambda: not transport._tasks)
            assert [len(client.holds) for client in relay.clients] == [0, 1]


async def test_a_client_whose_data_is_dropped_can_reconnect(tmp_path: Path) -> None:
    long_keepalive = RelayLimits(
        penalties=False, keepalive=Keepalive(interval=0.3, count_max=10_000)
    )
    async with (
        serve_relay(tmp_path, limits=long_keepalive) as relay,
        dropping_proxy(relay.port) as proxy,
        service(echo) as echo_port,
        asyncio.timeout(30),
        relay.client(port=proxy.port) as older,
    ):
        port = (await older.forward_remote_port("", 0, LOOPBACK, 9)).get_port()
        proxy.start_dropping()
        async with relay.client() as newer:
            await newer.forward_remote_port("", port, LOOPBACK, echo_port)
            assert await exchange(port, b"back") == b"back"
            await until(lambda: len(relay.clients) == 1)
            assert relay.clients[0].holds != []
        older.abort()


async def test_a_client_that_answers_no_keepalive_is_dropped(tmp_path: Path) -> None:
    async with (
        serve_relay(tmp_path, limits=SHORT_KEEPALIVE) as relay,
        dropping_proxy(relay.port) as proxy,
        relay.client(port=proxy.port) as connection,
    ):
        await connection.forward_remote_port("home", 22, LOOPBACK, 9)
        proxy.start_dropping()
        await until(lambda: not relay.clients, within=10 * SHORT_KEEPALIVE.keepalive.interval)
        assert relay.bound_targets == []
        connection.abort()
