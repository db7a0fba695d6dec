"""Small servers and clients on this machine, for both ends of a forward."""

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

EXCHANGE_TIMEOUT = 120.0
"""Seconds for a whole exchange of data."""

CHUNK = 256 * 1024
MEGABYTE = 1 << 20


@cache
def blob(size: int, seed: int = 0) -> bytes:
    """Return pseudo-random bytes that are the same in every run."""
    return hashlib.shake_128(bytes([seed])).digest(size)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@asynccontextmanager
async def service(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    at: Path | None = None,
    kernel_buffer: int | None = None,
) -> AsyncIterator[int]:
    """Run a server and yield its port on 127.0.0.1, or 0 if it is on a Unix socket at a path.

    kernel_buffer: SO_RCVBUF of the port, in bytes; None keeps the default of the kernel.
    """
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await handler(reader, writer)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()  # the client has disconnected, or the test is over
        finally:
            # StreamReaderProtocol of Python 3.11 logs an error if this task is cancelled.
            with suppress(asyncio.CancelledError):
                await close_and_wait(writer)
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
    """Send back all data until the client's EOF."""
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


async def hash_sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the SHA-256 of all data after the client's EOF."""
    digest = hashlib.sha256()
    while data := await reader.read(CHUNK):
        digest.update(data)
    writer.write(digest.hexdigest().encode())


def source(data: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return a handler that sends data and closes."""

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
    """Connect to a TCP port, and close the connection at the end."""
    reader, writer = await asyncio.open_connection(host, port, limit=CHUNK)
    try:
        yield reader, writer
    finally:
        await close_and_wait(writer)


async def close_and_wait(writer: asyncio.StreamWriter) -> None:
    """Close a connection and wait until it is closed."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def exchange(port: int, data: bytes) -> bytes:
    """Send data and EOF on a new connection, and return all data up to the peer's EOF."""
    async with asyncio.timeout(EXCHANGE_TIMEOUT), client(port) as (reader, writer):
        return await converse(reader, writer, data)


async def converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes
) -> bytes:
    """Send data and EOF while reading, and return all data up to the peer's EOF."""

    async def send() -> None:
        await source(data)(reader, writer)
        writer.write_eof()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send())
        answer = tasks.create_task(read_all(reader))
    return answer.result()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """Return all data up to the peer's EOF."""
    received = bytearray()
    while data := await reader.read(CHUNK):
        received += data
    return bytes(received)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a RST, as the kernel does for a crashed program."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
