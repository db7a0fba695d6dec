"""The dashboard's feed: it follows the supervisor's events and reconnects. It shows nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import msgspec

from tunnelkeeper.control.async_client import CONTROL_ERRORS, AsyncConnection, connect
from tunnelkeeper.control.client import decode_event
from tunnelkeeper.control.jsonrpc import Notification, Response
from tunnelkeeper.control.payloads import Event, LogEvent, LogLines
from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot

if TYPE_CHECKING:
    from pathlib import Path

RETRY_INTERVAL = 0.5
"""Seconds between two attempts to reach a supervisor."""

SILENCE_TIMEOUT = 15.0
"""Seconds without a message after which the supervisor counts as hung; counters come sooner."""

COUNTERS_EVERY = 1.0
"""Seconds between two counters events."""

LOG_LINES = 1000
"""Log lines to request at the beginning."""

_SUBSCRIBE, _LOGS, _STATUS = 1, 2, 3


class FeedListener(Protocol):
    """The receiver of the feed. Its methods return without waiting."""

    def on_status(self, status: StatusSnapshot) -> None:
        """Handle the status of the supervisor, which follows `on_logs`."""
        ...

    def on_logs(self, records: list[LogRecord]) -> None:
        """Handle the newest log lines of a supervisor that the feed has just reached."""
        ...

    def on_event(self, event: Event) -> bool:
        """Handle an event. Return whether the feed has to request the whole status again."""
        ...

    def on_disconnect(self, reason: str) -> None:
        """Handle a supervisor that does not answer. Called after each failed attempt."""
        ...


async def follow_supervisor(path: Path, listener: FeedListener, *, is_named: bool = False) -> None:
    """Follow the supervisor at a socket, and the next one when it has ended, until cancelled.

    is_named: as in control.client.Client.
    """
    while True:
        try:
            async with connect(path, is_named=is_named) as connection:
                await _follow(connection, listener)
        except CONTROL_ERRORS as error:
            listener.on_disconnect(describe_error(error))
        await asyncio.sleep(RETRY_INTERVAL)


def describe_error(error: BaseException) -> str:
    """Return one of CONTROL_ERRORS as a sentence."""
    match error:
        case TimeoutError():
            return "the supervisor does not answer"
        case OSError():
            return f"{error.filename or 'the control socket'}: {error.strerror or error}"
    return str(error)


async def _follow(connection: AsyncConnection, listener: FeedListener) -> None:
    """Request everything once, then pass on the events that are newer than the answers."""
    connection.send_request("subscribe", {"counters_every": COUNTERS_EVERY}, _SUBSCRIBE)
    connection.send_request("logs", {"lines": LOG_LINES}, _LOGS)
    connection.send_request("status", {}, _STATUS)
    awaited = {_LOGS, _STATUS}
    while True:
        async with asyncio.timeout(SILENCE_TIMEOUT):
            message = await connection.receive()
        match message:
            case Response(id=request_id, result=result) if request_id == _LOGS:
                awaited.discard(_LOGS)
                listener.on_logs(msgspec.json.decode(result, type=LogLines).records)
            case Response(id=request_id, result=result) if request_id == _STATUS:
                awaited.discard(_STATUS)
                listener.on_status(msgspec.json.decode(result, type=StatusSnapshot))
            case Notification(params=params) if (event := decode_event(params)) is not None:
                answer = _LOGS if isinstance(event, LogEvent) else _STATUS
                if answer not in awaited and listener.on_event(event):
                    awaited.add(_STATUS)
                    connection.send_request("status", {}, _STATUS)
