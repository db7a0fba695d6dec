"""The fault-injecting proxy of the other tests, and the faulty servers."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.proxy import CHUNK, Proxy
from tests.faults.servers import (
    Handler,
    close_at_once,
    drip_banner,
    send_banner_then_garbage,
    send_garbage,
    serving,
    stay_silent,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEADLINE = 20.0
A_WHILE = 0.2
"""Seconds without data that prove a hold; a value too short can only let a test pass."""


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


class Client:
    """A connection through the proxy; each wait has a deadline."""

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

    async def receives_nothing(self) -> bool:
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


async def test_it_forwards_data_and_eof_both_ways() -> None:
    async with proxied() as proxy, connected(proxy) as client:
        client.send(b"x" * 1_000_000)
        client.end()

        assert len(await client.receive_all()) == 1_000_000
        assert proxy.accepted == 1


async def test_held_data_and_eof_arrive_after_resume() -> None:
    async with proxied() as proxy, connected(proxy) as client:
        proxy.hold()
        client.send(b"late")
        client.end()

        assert await client.receives_nothing()
        proxy.resume()
        assert await client.receive_all() == b"late"


@pytest.mark.parametrize("direction", ["to_server", "to_client"])
async def test_it_can_hold_one_direction_only(direction: str) -> None:
    received = asyncio.Event()

    async def greet_and_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await reader.readexactly(5)
        received.set()
        await stay_silent(reader, writer)

    async with proxied(greet_and_read) as proxy:
        getattr(proxy, direction).hold()
        async with connected(proxy) as client:
            client.send(b"hello")
            if direction == "to_server":
                assert await client.receive(5) == b"hello"
                assert not received.is_set()
            else:
                async with asyncio.timeout(DEADLINE):
                    await received.wait()
                assert await client.receives_nothing()


async def test_reset_and_close_are_seen_as_such_by_the_client() -> None:
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


async def test_stop_listening_refuses_new_connections_and_keeps_current_ones() -> None:
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


async def test_it_can_delay_and_throttle() -> None:
    async with proxied() as proxy, connected(proxy) as client:
        proxy.to_server.delay = 0.1
        proxy.to_client.rate = 4 * CHUNK
        started = time.monotonic()
        client.send(b"x" * 3 * CHUNK)

        await client.receive(3 * CHUNK)

        assert time.monotonic() - started >= 0.1 + 2 / 4


async def test_it_can_forget_its_connections_and_forward_new_ones() -> None:
    async with proxied() as proxy, connected(proxy) as old:
        old.send(b"a")
        assert await old.receive(1) == b"a"

        proxy.forget_connections()
        old.send(b"b")

        assert await old.receives_nothing()
        async with connected(proxy) as new:
            new.send(b"c")
            assert await new.receive(1) == b"c"
        assert await old.receives_nothing()


async def test_each_faulty_server_misbehaves_as_documented() -> None:
    async with proxied(stay_silent) as proxy, connected(proxy) as client:
        assert await client.receives_nothing()
    async with proxied(close_at_once) as proxy, connected(proxy) as client:
        assert await client.receive_all() == b""
    async with proxied(send_garbage) as proxy, connected(proxy) as client:
        assert b"SSH-" not in await client.receive(CHUNK)
    async with proxied(send_banner_then_garbage) as proxy, connected(proxy) as client:
        assert (await client.receive(CHUNK)).startswith(b"SSH-2.0-")
    async with proxied(drip_banner) as proxy, connected(proxy) as client:
        assert await client.receive(10) == b"SSH-2.0-xx"


async def test_an_unreachable_server_resets_the_client() -> None:
    async with proxied() as proxy:
        proxy.server = ("127.0.0.1", 1)
        async with connected(proxy) as client:
            with pytest.raises(ConnectionResetError):
                await client.receive_all()
