"""Sees every state of every tunnel, also those that last for a moment: a subscriber of events."""

from __future__ import annotations

import json
import socket
from threading import Thread
from typing import TYPE_CHECKING, Self

import msgspec

from tunnelkeeper.control.payloads import Event, TunnelEvent

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tunnelkeeper.core.snapshot import TunnelSnapshot

SUBSCRIBE = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscribe"}).encode() + b"\n"


class Witness:
    """What the supervisor on a control socket says of its tunnels, from now on."""

    def __init__(self, path: Path) -> None:
        self.seen: list[TunnelSnapshot] = []
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(path))
        self._lines = self._connection.makefile("rb")
        self._thread = Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._connection.sendall(SUBSCRIBE)
        assert b'"result"' in self._lines.readline()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._lines.close()
        self._connection.close()

    def tunnels(self, name: str, since: int = 0) -> list[TunnelSnapshot]:
        """Return the states of a tunnel from event to event, skipping this many."""
        return [tunnel for tunnel in self.seen[since:] if tunnel.name == name]

    def _listen(self) -> None:
        for line in self._lines:
            event = msgspec.json.decode(
                msgspec.json.decode(line, type=_Notification).params, type=Event
            )
            if isinstance(event, TunnelEvent):
                self.seen.append(event.tunnel)


class _Notification(msgspec.Struct):
    params: msgspec.Raw
