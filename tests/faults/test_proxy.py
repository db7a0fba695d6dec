"""The link that the other tests break: that it does to a connection what it says."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.proxy import CHUNK, Proxy
from tests.faults.servers import (
    Handler,
    drip_a_banner,
    hang_up,
    serving,
    stay_silent,
    talk_garbage,
    turn_to_garbage,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEADLINE = 20.0
A_WHILE = 0.2
"""Seconds in which nothing comes where nothing shall: too short only ever lets a test pass."""


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


class Client:
    """A connection through the proxy; everything that it waits for has a deadline."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    def end(self) -> None:
        self._writer.write_eof()

    async def receive(self, size: int) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self._reader.readexactly(size)

    async def receive_all(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self._reader.read()

    async def hears_nothing(self) -> bool:
        try:
            async with asyncio.timeout(A_WHILE):
                await self._reader.readexactly(1)
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def proxied(handler: Handler = echo) -> AsyncIterator[Proxy]:
    async with serving(handler) as port, Proxy(("127.0.0.1", port)) as proxy:
        yield proxy


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def test_it_passes_on_what_both_sides_say_and_that_they_have_ended() -> None:
    async with proxied() as proxy, connected(proxy) as client:
        client.send(b"x" * 1_000_000)
        client.end()

        assert len(await client.receive_all()) == 1_000_000
        assert proxy.accepted == 1


async def test_what_it_holds_comes_once_it_lets_go_also_the_end() -> None:
    async with proxied() as proxy, connected(proxy) as client:
        proxy.hold()
        client.send(b"late")
        client.end()

        assert await client.hears_nothing()
        proxy.go()
        assert await client.receive_all() == b"late"


@pytest.mark.parametrize("direction", ["to_server", "to_client"])
async def test_it_holds_one_direction_alone(direction: str) -> None:
    heard = asyncio.Event()

    async def listen_and_talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await reader.readexactly(5)
        heard.set()
        await stay_silent(reader, writer)

    async with proxied(listen_and_talk) as proxy:
        getattr(proxy, direction).hold()
        async with connected(proxy) as client:
            client.send(b"hello")
            if direction == "to_server":
                assert await client.receive(5) == b"hello"
                assert not heard.is_set()
            else:
                async with asyncio.timeout(DEADLINE):
                    await heard.wait()
                assert await client.hears_nothing()


async def test_a_reset_is_a_reset_and_a_close_is_none() -> None:
    async with proxied() as proxy:
        async with connected(proxy) as client:
            client.send(b"x")
            await client.receive(1)
            proxy.reset()
            with pytest.raises(ConnectionResetError):
                await client.receive_all()
        async with connected(proxy) as client:
            client.send(b"x")
            await client.receive(1)
            proxy.close()
            assert await client.receive_all() == b""


async def test_it_refuses_new_connections_and_keeps_the_old_one() -> None:
    async with proxied() as proxy, connected(proxy) as client:
        client.send(b"a")
        assert await client.receive(1) == b"a"

        proxy.stop_listening()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        client.send(b"b")
        assert await client.receive(1) == b"b"
        proxy.listen()
        async with connected(proxy) as another:
            another.send(b"c")
            assert await another.receive(1) == b"c"


async def test_it_can_be_late_and_slow() -> None:
    async with proxied() as proxy, connected(proxy) as client:
        proxy.to_server.delay = 0.1
        proxy.to_client.rate = 4 * CHUNK
        began = time.monotonic()
        client.send(b"x" * 3 * CHUNK)

        await client.receive(3 * CHUNK)

        assert time.monotonic() - began >= 0.1 + 2 / 4


async def test_it_can_forget_its_connections_and_take_new_ones() -> None:
    async with proxied() as proxy, connected(proxy) as old:
        old.send(b"a")
        assert await old.receive(1) == b"a"

        proxy.forget()
        old.send(b"b")

        assert await old.hears_nothing()
        async with connected(proxy) as new:
            new.send(b"c")
            assert await new.receive(1) == b"c"
        assert await old.hears_nothing()


async def test_its_servers_are_as_bad_as_their_names() -> None:
    async with proxied(stay_silent) as proxy, connected(proxy) as client:
        assert await client.hears_nothing()
    async with proxied(hang_up) as proxy, connected(proxy) as client:
        assert await client.receive_all() == b""
    async with proxied(talk_garbage) as proxy, connected(proxy) as client:
        assert b"SSH-" not in await client.receive(CHUNK)
    async with proxied(turn_to_garbage) as proxy, connected(proxy) as client:
        assert (await client.receive(CHUNK)).startswith(b"SSH-2.0-")
    async with proxied(drip_a_banner) as proxy, connected(proxy) as client:
        assert await client.receive(10) == b"SSH-2.0-xx"


async def test_a_server_that_is_not_there_resets_the_client() -> None:
    async with proxied() as proxy:
        proxy.server = ("127.0.0.1", 1)
        async with connected(proxy) as client:
            with pytest.raises(ConnectionResetError):
                await client.receive_all()
