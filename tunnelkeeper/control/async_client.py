"""The asyncio client of the control socket. It shows nothing and keeps no state.

control.client is its blocking counterpart; both raise the same errors.
"""

from __future__ import annotations

import asyncio
import errno
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.control.client import (
    ANSWER_LIMIT,
    check_path,
    check_process,
    decode_line,
    endless_answer,
)
from tunnelkeeper.control.client_errors import ForeignSocketError, NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import (
    ErrorCode,
    ErrorResponse,
    Notification,
    ProtocolError,
    Response,
    encode_request,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    import msgspec

    from tunnelkeeper.core.secret import Secret

CONTROL_ERRORS = (NoSupervisorError, RemoteError, ProtocolError, OSError)
"""The exceptions of every function here; TimeoutError is an OSError."""


@dataclass(frozen=True, slots=True)
class AsyncConnection:
    """A connection to the supervisor."""

    path: Path
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send_request(
        self,
        method: str,
        params: dict[str, object],
        request_id: int,
        trailing: Sequence[Secret] = (),
    ) -> None:
        """Send a request without waiting for its answer.

        trailing: secrets whose bytes follow the request's line.
        """
        self.writer.write(encode_request(method, params, request_id))
        for secret in trailing:
            self.writer.write(secret.reveal())

    async def receive(self) -> Response | Notification:
        """Return the next answer or notification. An error answer raises RemoteError."""
        match decode_line(await self._read_line(), self.path):
            case ErrorResponse(error=error):
                raise RemoteError.from_error(error)
            case Response() | Notification() as message:
                return message

    async def _read_line(self) -> bytes:
        try:
            line = await self.reader.readline()
        except ConnectionError:
            raise NoSupervisorError(self.path) from None
        except ValueError:  # longer than the reader's limit
            raise endless_answer(self.path) from None
        if not line.endswith(b"\n"):
            raise ForeignSocketError(self.path, line) if line else NoSupervisorError(self.path)
        return line


@asynccontextmanager
async def connect(path: Path, *, is_named: bool = False) -> AsyncIterator[AsyncConnection]:
    """Connect to the control socket for the duration of the body. is_named: as in Client."""
    user = check_path(path, is_named=is_named)
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_LIMIT)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise NoSupervisorError(path) from None
    except OSError as error:
        if error.errno == errno.EPROTOTYPE:  # a datagram socket
            raise ForeignSocketError(path) from None
        raise
    try:
        check_process(writer.get_extra_info("socket"), path, user)
        yield AsyncConnection(path, reader, writer)
    finally:
        writer.close()


async def call(
    path: Path, method: str, timeout: float, *, is_named: bool = False, **params: object
) -> msgspec.Raw:
    """Call a method on a connection of its own and return its result as JSON.

    Raises NoSupervisorError, RemoteError, ProtocolError, OSError and TimeoutError.
    """
    async with asyncio.timeout(timeout), connect(path, is_named=is_named) as connection:
        connection.send_request(method, params, 1)
        match await connection.receive():
            case Response(result=result):
                return result
    raise ProtocolError(ErrorCode.INVALID_REQUEST, "expected an answer")
