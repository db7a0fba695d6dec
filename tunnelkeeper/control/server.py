"""The server of the control socket: it checks the peer's user id and serves each connection."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tunnelkeeper.control import unix_socket
from tunnelkeeper.control.client_connection import ControlConnection, SupervisorConnection
from tunnelkeeper.control.jsonrpc import REQUEST_LIMIT, Error, ErrorCode, encode_error
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.net.peer_user import peer_uid_of

S = TypeVar("S")

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tunnelkeeper.control.api import SupervisorApi

    MakeConnection = Callable[[S, asyncio.StreamReader, asyncio.StreamWriter], ControlConnection]
    PeerUid = Callable[[TransportSocket], int | None]

CONNECTION_LIMIT = 64
RESERVE = 16
"""Connections beyond the limit, for single requests while every other connection is in use."""

CLOSE_TIMEOUT = 1.0
"""Seconds that a client may take to read the last answer when the server closes."""

_FULL = Error(
    ErrorCode.TOO_MANY_CONNECTIONS,
    f"{CONNECTION_LIMIT + RESERVE} control connections are open and all are in use; "
    "end a dashboard or another client",
)
_GAVE_WAY = Error(
    ErrorCode.TOO_MANY_CONNECTIONS,
    f"the connection was closed: {CONNECTION_LIMIT} were open and this one was idle the longest",
)
_log = logging.getLogger(__name__)


def may_control(uid: int | None) -> bool:
    """Return whether this user may control our tunnels: the owner and root.

    If the system cannot tell, the modes of the folder and the socket have decided already.
    """
    return uid is None or uid in {0, os.geteuid()}


class ControlServer:
    """Serves the control protocol on a socket file. The caller holds the lock beside that file.

    At the limit, the connection that has been idle the longest is closed for a new one. A new one
    above the limit is in the reserve: it cannot subscribe.

    subject: what the methods act on. make_connection: serves one client.
    """

    @overload
    def __init__(self, path: Path, subject: SupervisorApi, peer_uid: PeerUid = ...) -> None: ...

    @overload
    def __init__(
        self, path: Path, subject: S, peer_uid: PeerUid = ..., *, make_connection: MakeConnection[S]
    ) -> None: ...

    def __init__(
        self,
        path: Path,
        subject: object,
        peer_uid: PeerUid = peer_uid_of,
        make_connection: MakeConnection[Any] = SupervisorConnection,
    ) -> None:
        self._path = path
        self._subject = subject
        self._peer_uid = peer_uid
        self._make_connection = make_connection
        self._connections: dict[asyncio.Task[None], ControlConnection] = {}

    @asynccontextmanager
    async def serving(self, tasks: asyncio.TaskGroup) -> AsyncIterator[None]:
        """Serve while the body runs. Every connection is a task of `tasks` and ends with the body.

        Raises SocketFileError and OSError before the body runs if the socket cannot be created.
        """

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._accept(tasks, reader, writer)

        listening = unix_socket.listen(self._path)
        try:
            server = await asyncio.start_unix_server(
                accept, sock=listening.sock, limit=REQUEST_LIMIT
            )
            try:
                yield
            finally:
                server.close()
                await self._close_connections()
        finally:
            listening.remove()
            listening.sock.close()

    def _accept(
        self,
        tasks: asyncio.TaskGroup,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        uid = self._peer_uid(writer.get_extra_info("socket"))
        if not may_control(uid):
            _log.warning("control connection of user id %s refused", uid)
            writer.transport.abort()
            return
        others = sum(not c.is_stream for c in self._connections.values())
        if others >= CONNECTION_LIMIT and self._close_longest_idle():
            others -= 1
        if others >= CONNECTION_LIMIT + RESERVE:
            tasks.create_task(_refuse(reader, writer))
            return
        connection = self._make_connection(self._subject, reader, writer)
        connection.in_reserve = others >= CONNECTION_LIMIT
        task = tasks.create_task(_serve(connection, writer))
        self._connections[task] = connection
        task.add_done_callback(lambda task: self._connections.pop(task, None))

    def _close_longest_idle(self) -> bool:
        """Tell the client that has been idle the longest, and close its connection.

        Return False if every connection is in use.
        """
        idle = [(task, c) for task, c in self._connections.items() if c.is_idle]
        if not idle:
            return False
        task, connection = min(idle, key=lambda each: each[1].idle_since)
        del self._connections[task]
        connection.send_error(_GAVE_WAY)
        task.cancel()
        return True

    async def _close_connections(self) -> None:
        running = list(self._connections)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell a client that there is no room. Its request is read, so that its sending cannot fail."""
    try:
        writer.write(encode_error(None, _FULL))
        writer.write_eof()
        with suppress(OSError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                while await reader.read(REQUEST_LIMIT):
                    pass
    finally:
        writer.transport.abort()


async def _serve(connection: ControlConnection, writer: asyncio.StreamWriter) -> None:
    """Serve a connection to its end. Its errors do not reach the others."""
    try:
        await connection.run()
    except OSError as error:
        _log.debug("control connection broke: %s", error)
    except Exception:  # noqa: BLE001  one bad connection must not end the server
        end_if_out_of_memory()
        _log.exception("control connection failed")
    finally:
        writer.close()
        try:
            with suppress(OSError):  # TimeoutError is an OSError
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await writer.wait_closed()
        finally:
            writer.transport.abort()
