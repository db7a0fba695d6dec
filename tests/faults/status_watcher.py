"""A subscriber of control events that records every state of every tunnel, even short ones."""

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


class StatusWatcher:
    """Records the tunnel snapshots that a supervisor reports on its control socket from now on."""

    def __init__(self, path: Path) -> None:
        self.snapshots: list[TunnelSnapshot] = []
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(path))
        self._lines = self._connection.makefile("rb")
        self._thread = Thread(target=self._read_events)

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

    def snapshots_of(self, name: str, since: int = 0) -> list[TunnelSnapshot]:
        """Return the snapshots of a tunnel in order, skipping this many events of all tunnels."""
        return [tunnel for tunnel in self.snapshots[since:] if tunnel.name == name]

    def _read_events(self) -> None:
        for line in self._lines:
            event = msgspec.json.decode(
                msgspec.json.decode(line, type=_Notification).params, type=Event
            )
            if isinstance(event, TunnelEvent):
                self.snapshots.append(event.tunnel)


class _Notification(msgspec.Struct):
    params: msgspec.Raw
