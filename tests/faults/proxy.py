"""A TCP proxy that injects network faults: it holds, delays, throttles, resets and closes.

It forwards bytes, does not interpret SSH, and runs in any event loop.
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
"""Chunks in flight in each direction of a connection: few, as on a real link."""

BUFFER = 64 * 1024
"""Receive buffer of a socket, in bytes; Linux would let it grow to megabytes."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: close() sends RST and drops unsent data

Address = tuple[str, int]


class Flow:
    """One direction of all connections together.

    delay: seconds by which every byte is delayed. rate: bytes a second, for each connection.
    reads: how many chunks its senders have sent, forwarded or not.
    """

    def __init__(self) -> None:
        self.delay = 0.0
        self.rate = inf
        self.reads = 0
        self._flowing = asyncio.Event()
        self._flowing.set()

    def hold(self) -> None:
        """Silently hold back everything, even EOF and resets."""
        self._flowing.clear()

    def resume(self) -> None:
        """Forward data again, first what was held, just as TCP retransmits lost segments."""
        self._flowing.set()

    async def wait_until_due(self, due: float) -> None:
        """Wait until data that is due at this loop time may be delivered."""
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        await self._flowing.wait()


class _ResetError(Exception):
    """Raised when one side has reset the connection."""


@dataclass(slots=True, eq=False)
class _Connection:
    """A client's connection and the matching connection to the server."""

    client: socket.socket
    server: socket.socket
    task: asyncio.Task[None] | None = None

    async def run(self, to_server: Flow, to_client: Flow) -> None:
        """Forward data both ways until both sides have ended."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_forward(self.client, self.server, to_server))
                tasks.create_task(_forward(self.server, self.client, to_client))
        except* _ResetError:
            self.abort()

    def abort(self) -> None:
        """Make both sides see a reset once the sockets are closed."""
        for end in (self.client, self.server):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def close_cleanly(self) -> None:
        """Make both sides see a clean end."""
        for end in (self.client, self.server):
            with suppress(OSError):  # the peer has reset the connection
                end.shutdown(socket.SHUT_RDWR)


@dataclass(slots=True)
class Proxy:
    """Forwards client connections to a server; an async context that owns the connections.

    server: the target of new connections; it may be changed. port: 0 for a free one.
    accepted: the number of clients so far.
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
        """Accept connections, on the same port as before."""
        if self._listener is None:
            listener = socket.create_server((self.host, self.port))
            self.port = listener.getsockname()[1]
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            listener.setblocking(False)
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)
            self._listener = listener

    def stop_listening(self) -> None:
        """Refuse new connections and keep the current ones."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def hold(self) -> None:
        """Silently hold back everything in both directions: a black hole."""
        self.to_server.hold()
        self.to_client.hold()

    def resume(self) -> None:
        """Forward data in both directions again."""
        self.to_server.resume()
        self.to_client.resume()

    def forget_connections(self) -> None:
        """Become a black hole for all current connections, like a NAT that has lost its state.

        New connections work.
        """
        self.hold()
        self.to_server, self.to_client = Flow(), Flow()

    def reset(self) -> None:
        """Reset all connections towards both sides."""
        for connection in list(self._connections):
            connection.abort()
            assert connection.task is not None
            connection.task.cancel()

    def close(self) -> None:
        """Close all connections cleanly towards both sides."""
        for connection in list(self._connections):
            connection.close_cleanly()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # the client has disconnected already
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
                connection.abort()
            finally:
                self._connections.discard(connection)


async def _forward(source: socket.socket, sink: socket.socket, flow: Flow) -> None:
    queue: asyncio.Queue[tuple[float, bytes | None]] = asyncio.Queue(IN_FLIGHT)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_read(source, queue, flow))
        tasks.create_task(_write(sink, queue, flow))


async def _read(
    source: socket.socket, queue: asyncio.Queue[tuple[float, bytes | None]], flow: Flow
) -> None:
    """Queue received data with the time it is due; b"" is EOF and None a reset."""
    loop = asyncio.get_running_loop()
    data: bytes | None = None
    while data != b"":
        try:
            data = await loop.sock_recv(source, CHUNK)
        except OSError:
            data = None
        flow.reads += 1
        await queue.put((loop.time() + flow.delay, data))
        if data is None:
            return


async def _write(
    sink: socket.socket, queue: asyncio.Queue[tuple[float, bytes | None]], flow: Flow
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due, data = await queue.get()
        await flow.wait_until_due(due)
        try:
            match data:
                case None:
                    raise _ResetError
                case b"":
                    sink.shutdown(socket.SHUT_WR)
                    return
            await loop.sock_sendall(sink, data)
        except OSError as error:
            raise _ResetError from error
        if flow.rate < inf:
            await asyncio.sleep(len(data) / flow.rate)
