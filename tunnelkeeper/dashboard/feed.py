"""How the dashboard hears the supervisor, and asks it: over the control socket, within asyncio.

`listen` follows one supervisor after the other, `call` asks one thing. Nothing is shown here.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import msgspec

from tunnelkeeper.control.client import ANSWER_LIMIT, NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import (
    Error,
    ErrorCode,
    ErrorResponse,
    Notification,
    ProtocolError,
    Response,
    decode_incoming,
    encode_request,
)
from tunnelkeeper.control.payloads import Event, LogEvent, LogLines
from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

RETRY_AFTER = 0.5
"""Seconds from one look for a supervisor to the next."""

SILENCE = 15.0
"""Seconds without a word, though counters come every second, after which a supervisor hangs."""

COUNTERS_EVERY = 1.0
RECORDS = 1000
"""Lines of the log that are asked for in the beginning."""

TROUBLE = (NoSupervisorError, RemoteError, ProtocolError, OSError)
"""What `call` raises; TimeoutError is an OSError."""

_SUBSCRIBE, _LOGS, _STATUS = 1, 2, 3
_EVENTS: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class FeedListener(Protocol):
    """Whoever is told; all of it at once, and without waiting."""

    def on_status(self, status: StatusSnapshot) -> None:
        """The whole picture of a supervisor, asked for after `logged`."""
        ...

    def on_logs(self, records: list[LogRecord]) -> None:
        """The newest lines of the log of a supervisor that was just found."""
        ...

    def on_event(self, event: Event) -> bool:
        """Something happened; returns whether the whole picture is to be asked for again."""
        ...

    def on_disconnect(self, why: str) -> None:
        """Nobody answers; told again after each try."""
        ...


async def listen(path: Path, hearer: FeedListener) -> None:
    """Tell of the supervisor at a socket, of the next one when it is gone, until cancelled."""
    while True:
        try:
            async with _connected(path) as (reader, writer):
                await _follow(path, reader, writer, hearer)
        except TROUBLE as error:
            hearer.on_disconnect(told(error))
        await asyncio.sleep(RETRY_AFTER)


async def call(path: Path, method: str, timeout: float, **params: object) -> msgspec.Raw:
    """Ask on a connection of its own; the result as JSON.

    Raises NoSupervisor, RemoteError, ProtocolError, OSError, TimeoutError.
    """
    async with asyncio.timeout(timeout), _connected(path) as (reader, writer):
        writer.write(encode_request(method, params, 1))
        match decode_incoming(await _line(path, reader)):
            case Response(result=result):
                return result
            case ErrorResponse(error=error):
                raise _remote(error)
    raise ProtocolError(ErrorCode.INVALID_REQUEST, "expected an answer")


def told(error: BaseException) -> str:
    """An exception of TROUBLE as a sentence."""
    match error:
        case TimeoutError():
            return "the supervisor does not answer"
        case OSError():
            return f"{error.filename or 'the control socket'}: {error.strerror or error}"
    return str(error)


async def _follow(
    path: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hearer: FeedListener
) -> None:
    """Ask for everything once, then pass events on that are newer than the answers."""
    writer.write(encode_request("subscribe", {"counters_every": COUNTERS_EVERY}, _SUBSCRIBE))
    writer.write(encode_request("logs", {"lines": RECORDS}, _LOGS))
    writer.write(encode_request("status", {}, _STATUS))
    awaited = {_LOGS, _STATUS}
    while True:
        async with asyncio.timeout(SILENCE):
            line = await _line(path, reader)
        match decode_incoming(line):
            case Response(id=answered, result=result) if answered == _LOGS:
                awaited.discard(_LOGS)
                hearer.on_logs(msgspec.json.decode(result, type=LogLines).records)
            case Response(id=answered, result=result) if answered == _STATUS:
                awaited.discard(_STATUS)
                hearer.on_status(msgspec.json.decode(result, type=StatusSnapshot))
            case ErrorResponse(error=error):
                raise _remote(error)
            case Notification(params=params) if (event := _event(params)) is not None:
                about = _LOGS if isinstance(event, LogEvent) else _STATUS
                if about not in awaited and hearer.on_event(event):
                    awaited.add(_STATUS)
                    writer.write(encode_request("status", {}, _STATUS))


def _event(params: msgspec.Raw) -> Event | None:
    """None for a kind of event that a newer supervisor added."""
    try:
        return _EVENTS.decode(params)
    except msgspec.ValidationError:
        return None


@asynccontextmanager
async def _connected(
    path: Path,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_LIMIT)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise NoSupervisorError(path) from None
    try:
        yield reader, writer
    finally:
        writer.close()


async def _line(path: Path, reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readline()
    except ConnectionError:
        raise NoSupervisorError(path) from None
    except ValueError:
        raise ProtocolError(ErrorCode.INVALID_REQUEST, f"{path}: an endless answer") from None
    if not line.endswith(b"\n"):
        raise NoSupervisorError(path)
    return line


def _remote(error: Error) -> RemoteError:
    problems = error.data.problems if error.data else []
    return RemoteError(error.code, error.message, problems)
