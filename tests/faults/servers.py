"""Servers with a fault: what a client meets that expects SSH, or DNS, and finds something else.

They run in any event loop; each connection is served until the server is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Serves one connection; it is closed for it."""

CHUNK = 16 * 1024
DNS_PORT = 53  # resolv.conf(5) knows no other
DRIP = 0.05
"""Seconds between the bytes of a slow banner."""


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """Run a server on a free port of 127.0.0.1; yield the port."""
    async with asyncio.TaskGroup() as tasks:
        serving: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = tasks.create_task(_serve(handler, reader, writer))
            serving.add(task)
            task.add_done_callback(serving.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in serving:
                task.cancel()


async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, read, and never say anything."""
    while await reader.read(CHUNK):
        pass


async def talk_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say what no SSH server says, without end."""
    while True:
        writer.write(Random(1).randbytes(CHUNK))
        await writer.drain()


async def turn_to_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin as an SSH server does, and go on with garbage."""
    writer.write(b"SSH-2.0-Fault\r\n")
    await talk_garbage(reader, writer)


async def drip_a_banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say an SSH banner byte by byte, and never come to its end."""
    writer.write(b"SSH-2.0-")
    while True:
        await writer.drain()
        await asyncio.sleep(DRIP)
        writer.write(b"x")


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, and close at once."""


class _Mute(asyncio.DatagramProtocol):
    """Takes datagrams and answers none."""


@asynccontextmanager
async def mute_dns(host: str) -> AsyncIterator[None]:
    """Run a name server that receives every query and answers none."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Mute, (host, DNS_PORT))
    try:
        yield
    finally:
        transport.close()


async def _serve(
    handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        with suppress(OSError):
            await handler(reader, writer)
    finally:
        writer.close()
