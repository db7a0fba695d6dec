"""What forwards lead to, and who comes through them: small servers and clients on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

PATIENCE = 30.0
"""Seconds for a whole conversation."""

CHUNK = 256 * 1024
MEGABYTE = 1 << 20


@cache
def blob(size: int, seed: int = 0) -> bytes:
    """So many bytes that look random and are the same every time."""
    return hashlib.shake_128(bytes([seed])).digest(size)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@asynccontextmanager
async def service(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    at: Path | None = None,
    kernel_buffer: int | None = None,
) -> AsyncIterator[int]:
    """The port of a server on 127.0.0.1; or, at a path, one on a Unix socket.

    kernel_buffer: bytes that the kernel may take from a client of the port (SO_RCVBUF); None: its
    own choice.
    """
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await handler(reader, writer)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()  # its client is gone, or the test is over
        finally:
            # StreamReaderProtocol of Python 3.11 logs an error if this task is cancelled.
            with suppress(asyncio.CancelledError):
                await closed(writer)
            running.discard(task)

    if at is None:
        server = await asyncio.start_server(serve, sock=_bound(kernel_buffer), backlog=512)
        port = server.sockets[0].getsockname()[1]
    else:
        server = await asyncio.start_unix_server(serve, at)
        port = 0
    try:
        yield port
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _bound(kernel_buffer: int | None) -> socket.socket:
    bound = socket.socket()
    if kernel_buffer is not None:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kernel_buffer)
    bound.bind(("127.0.0.1", 0))
    return bound


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, until the client has said its last."""
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


async def hash_sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the SHA-256 of what came, once the client has ended its half."""
    digest = hashlib.sha256()
    while data := await reader.read(CHUNK):
        digest.update(data)
    writer.write(digest.hexdigest().encode())


def source(data: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A handler that sends the data and ends."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        view = memoryview(data)
        for at in range(0, len(data), CHUNK):
            writer.write(view[at : at + CHUNK])
            await writer.drain()

    return send


@asynccontextmanager
async def client(
    port: int, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client of a TCP port, closed at the end if it is not yet."""
    reader, writer = await asyncio.open_connection(host, port, limit=CHUNK)
    try:
        yield reader, writer
    finally:
        await closed(writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and wait until it is."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def exchange(port: int, data: bytes) -> bytes:
    """Send the data and end that half; what came back until the other side ended too."""
    async with asyncio.timeout(PATIENCE), client(port) as (reader, writer):
        return await converse(reader, writer, data)


async def converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes
) -> bytes:
    """Send the data and end that half, while everything that comes back is read."""

    async def send() -> None:
        await source(data)(reader, writer)
        writer.write_eof()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send())
        answer = tasks.create_task(read_all(reader))
    return answer.result()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """Everything until the other side ends."""
    received = bytearray()
    while data := await reader.read(CHUNK):
        received += data
    return bytes(received)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a crashed program's is: with a RST."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
