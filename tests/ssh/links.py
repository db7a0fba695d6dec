"""Ways to a server that misbehave: links that freeze, servers that say nothing or hang up."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from tests.forwarding.services import closed, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

SMALL = 64 * 1024
"""Bytes of a receive buffer: what a frozen link swallows should be little beside a window."""


class Link:
    """A TCP relay to a port. Frozen, it takes nothing from its clients and gives them nothing."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.connections = 0
        self._target = target
        self._pipes: set[_Pipe] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()

    def freeze(self) -> None:
        """Let nothing pass, either way, until `thaw`."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Let everything pass again."""
        self._thawed.set()

    def cut(self) -> None:
        """Reset every connection."""
        for pipe in list(self._pipes):
            pipe.cut()

    async def serve(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        """Carry one client's connection."""
        self.connections += 1
        far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
        pipe = _Pipe(near, far)
        self._pipes.add(pipe)
        try:
            await asyncio.gather(self._carry(near_reader, far), self._carry(far_reader, near))
        finally:
            self._pipes.discard(pipe)
            far.transport.abort()
            await closed(far)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._thawed.wait()
                data = await reader.read(SMALL)
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
    """A link to a port of 127.0.0.1."""
    made = Link(target)
    async with service(made.serve, kernel_buffer=SMALL) as made.port:
        try:
            yield made
        finally:
            made.thaw()
            made.cut()


@asynccontextmanager
async def mute(greeting: bytes = b"", at: Path | None = None) -> AsyncIterator[int]:
    """The port of a server that takes connections, greets, and says nothing more.

    at: a path; then it listens on a Unix socket there.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while await reader.read(SMALL):
            pass

    async with service(serve, at, kernel_buffer=SMALL) as port:
        yield port


@asynccontextmanager
async def dropping(last_words: bytes = b"") -> AsyncIterator[int]:
    """The port of a server that hangs up on everyone at once."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(last_words)
        writer.close()

    async with service(serve) as port:
        yield port


@contextmanager
def unanswering() -> Iterator[tuple[str, int]]:
    """The address of a port that answers nobody who connects: its backlog is full."""
    with socket.socket() as busy, socket.socket() as waiting:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        waiting.connect(busy.getsockname())
        yield busy.getsockname()


def closed_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        assert isinstance(port, int)
        return port
