"""Links to a server that misbehave: they freeze, send nothing or close at once."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from tests.forwarding.services import close_and_wait, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

BUFFER_BYTES = 64 * 1024
"""Bytes of a receive buffer: a frozen link must buffer little compared with a window."""


class Link:
    """A TCP relay to a port. While frozen it forwards nothing."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.connections = 0
        self._target = target
        self._pipes: set[_Pipe] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()

    def freeze(self) -> None:
        """Stop forwarding in both directions until `thaw`."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Forward again."""
        self._thawed.set()

    def cut(self) -> None:
        """Reset every connection."""
        for pipe in list(self._pipes):
            pipe.cut()

    async def serve(
        self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
    ) -> None:
        """Relay one client's connection."""
        self.connections += 1
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        pipe = _Pipe(client_writer, server_writer)
        self._pipes.add(pipe)
        try:
            await asyncio.gather(
                self._carry(client_reader, server_writer), self._carry(server_reader, client_writer)
            )
        finally:
            self._pipes.discard(pipe)
            server_writer.transport.abort()
            await close_and_wait(server_writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._thawed.wait()
                data = await reader.read(BUFFER_BYTES)
                await self._thawed.wait()
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            writer.transport.abort()


class _Pipe:
    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def link(target: int) -> AsyncIterator[Link]:
    """Run a link to a port of 127.0.0.1."""
    new_link = Link(target)
    async with service(new_link.serve, kernel_buffer=BUFFER_BYTES) as new_link.port:
        try:
            yield new_link
        finally:
            new_link.thaw()
            new_link.cut()


@asynccontextmanager
async def silent_server(greeting: bytes = b"", at: Path | None = None) -> AsyncIterator[int]:
    """Run a server that accepts connections and sends only its greeting; yield its port.

    With a path in `at` it listens on a Unix socket there.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while await reader.read(BUFFER_BYTES):
            pass

    async with service(serve, at, kernel_buffer=BUFFER_BYTES) as port:
        yield port


@asynccontextmanager
async def dropping_server(final_data: bytes = b"") -> AsyncIterator[int]:
    """Run a server that closes every connection at once; yield its port."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(final_data)
        writer.close()

    async with service(serve) as port:
        yield port


@contextmanager
def full_backlog() -> Iterator[tuple[str, int]]:
    """Yield the address of a port that accepts no connection: its backlog is full."""
    with socket.socket() as busy, socket.socket() as waiting:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        waiting.connect(busy.getsockname())
        yield busy.getsockname()


def closed_port() -> int:
    """Return a port of 127.0.0.1 without a listener."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        assert isinstance(port, int)
        return port
