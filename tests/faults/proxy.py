"""A TCP proxy that does to its connections what networks do: hold, delay, throttle, reset, close.

It passes bytes on and knows nothing of SSH or of tests; it runs in any event loop.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

CHUNK = 16 * 1024
IN_FLIGHT = 8
"""Chunks of each direction that a connection has under way: little, as a real link has."""

BUFFER = 64 * 1024
"""Bytes that the kernel may hold for a connection; Linux would let it grow to megabytes."""

_AT_ONCE = struct.pack("ii", 1, 0)  # struct linger: close() sends RST and drops what waits

Address = tuple[str, int]


class Flow:
    """One direction of all connections together.

    delay: seconds that every byte is late. rate: bytes a second, for each connection.
    heard: how often its senders have sent something, whether it got through or not.
    """

    def __init__(self) -> None:
        self.delay = 0.0
        self.rate = inf
        self.heard = 0
        self._goes = asyncio.Event()
        self._goes.set()

    def hold(self) -> None:
        """Silently let nothing through, not even the end of a connection."""
        self._goes.clear()

    def go(self) -> None:
        """Let all through again, first what was held: as TCP repeats what a network lost."""
        self._goes.set()

    async def passes(self, due: float) -> None:
        """Wait until what is due at this time of the loop may arrive."""
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        await self._goes.wait()


class _Reset(Exception):
    """One side has cut the connection."""


@dataclass(slots=True, eq=False)
class _Connection:
    """A client's connection and the one that was made to the server for it."""

    client: socket.socket
    server: socket.socket
    task: asyncio.Task[None] | None = None

    async def run(self, to_server: Flow, to_client: Flow) -> None:
        """Pass on what both sides send, until both have ended."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_carry(self.client, self.server, to_server))
                tasks.create_task(_carry(self.server, self.client, to_client))
        except* _Reset:
            self.break_off()

    def break_off(self) -> None:
        """Let both sides see a reset once the sockets are closed."""
        for end in (self.client, self.server):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)

    def say_goodbye(self) -> None:
        """Let both sides see a clean end."""
        for end in (self.client, self.server):
            with suppress(OSError):  # it has gone without a goodbye
                end.shutdown(socket.SHUT_RDWR)


@dataclass(slots=True)
class Proxy:
    """Listens for clients of a server. Use it as a context: it owns the connections.

    server: where new connections lead to; it may be changed. port: 0 for a free one.
    accepted: how many clients have come.
    """

    server: Address
    port: int = 0
    host: str = "127.0.0.1"
    to_server: Flow = field(default_factory=Flow)
    to_client: Flow = field(default_factory=Flow)
    accepted: int = 0
    _connections: set[_Connection] = field(default_factory=set)
    _tasks: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)
    _listener: socket.socket | None = None

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self.listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop_listening()
        self.reset()
        await self._tasks.__aexit__(kind, error, traceback)

    def listen(self) -> None:
        """Take connections, on the same port as before."""
        if self._listener is None:
            listener = socket.create_server((self.host, self.port))
            self.port = listener.getsockname()[1]
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            listener.setblocking(False)
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)
            self._listener = listener

    def stop_listening(self) -> None:
        """Refuse new connections; those that are there stay."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def hold(self) -> None:
        """Silently drop everything in both directions: a black hole."""
        self.to_server.hold()
        self.to_client.hold()

    def go(self) -> None:
        """Be a good network again."""
        self.to_server.go()
        self.to_client.go()

    def forget(self) -> None:
        """Be a black hole for the connections that are there, for good, as a NAT that forgot them.

        New ones get through.
        """
        self.hold()
        self.to_server, self.to_client = Flow(), Flow()

    def reset(self) -> None:
        """Cut all connections; both sides get a reset."""
        for connection in list(self._connections):
            connection.break_off()
            assert connection.task is not None
            connection.task.cancel()

    def close(self) -> None:
        """End all connections cleanly towards both sides."""
        for connection in list(self._connections):
            connection.say_goodbye()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # it has left again
            client, _ = listener.accept()
            self.accepted += 1
            self._tasks.create_task(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        with client, socket.socket() as server:
            connection = _Connection(client, server, asyncio.current_task())
            for end in (client, server):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            self._connections.add(connection)
            try:
                await asyncio.get_running_loop().sock_connect(server, self.server)
                await connection.run(self.to_server, self.to_client)
            except OSError:
                connection.break_off()
            finally:
                self._connections.discard(connection)


async def _carry(source: socket.socket, sink: socket.socket, flow: Flow) -> None:
    queue: asyncio.Queue[tuple[float, bytes | None]] = asyncio.Queue(IN_FLIGHT)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_read(source, queue, flow))
        tasks.create_task(_write(sink, queue, flow))


async def _read(
    source: socket.socket, queue: asyncio.Queue[tuple[float, bytes | None]], flow: Flow
) -> None:
    """Queue what comes with the time that it is due; b"" is its end and None a reset."""
    loop = asyncio.get_running_loop()
    data: bytes | None = None
    while data != b"":
        try:
            data = await loop.sock_recv(source, CHUNK)
        except OSError:
            data = None
        flow.heard += 1
        await queue.put((loop.time() + flow.delay, data))
        if data is None:
            return


async def _write(
    sink: socket.socket, queue: asyncio.Queue[tuple[float, bytes | None]], flow: Flow
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due, data = await queue.get()
        await flow.passes(due)
        try:
            match data:
                case None:
                    raise _Reset
                case b"":
                    sink.shutdown(socket.SHUT_WR)
                    return
            await loop.sock_sendall(sink, data)
        except OSError as error:
            raise _Reset from error
        if flow.rate < inf:
            await asyncio.sleep(len(data) / flow.rate)
