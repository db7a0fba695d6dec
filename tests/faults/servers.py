"""Faulty servers for clients that expect SSH or DNS.

They run in any event loop and serve each connection until they are closed.
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
"""Serves one connection; the caller closes it."""

CHUNK = 16 * 1024
DNS_PORT = 53  # resolv.conf(5) supports no other port
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
    """Read, and never send anything."""
    while await reader.read(CHUNK):
        pass


async def send_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send random bytes without end."""
    while True:
        writer.write(Random(1).randbytes(CHUNK))
        await writer.drain()


async def send_banner_then_garbage(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Send an SSH banner and then random bytes."""
    writer.write(b"SSH-2.0-Fault\r\n")
    await send_garbage(reader, writer)


async def drip_banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send an SSH banner byte by byte and never complete it."""
    writer.write(b"SSH-2.0-")
    while True:
        await writer.drain()
        await asyncio.sleep(DRIP)
        writer.write(b"x")


async def close_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection at once."""


class _SilentProtocol(asyncio.DatagramProtocol):
    """Receives datagrams and answers none."""


@asynccontextmanager
async def silent_name_server(host: str) -> AsyncIterator[None]:
    """Run a name server that receives every query and answers none."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_SilentProtocol, (host, DNS_PORT))
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
