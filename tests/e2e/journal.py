"""Stands in for systemd-journald: takes what services print, and keeps every line as it came."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HEADER_LINES = 7
"""What systemd sends first: identifier, unit, priority, level prefix, and three more."""


class Journal:
    """Listens where systemd connects the output of services, which is named by a path."""

    def __init__(self, path: Path) -> None:
        self._said: list[tuple[str, bytearray]] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        path.chmod(0o666)
        self._server.listen(64)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def text(self) -> str:
        """All lines, with their priorities in front, as <6>."""
        return b"".join(bytes(text) for _, text in self._said).decode(errors="replace")

    def lines_of(self, identifier: str) -> str:
        """Return the output of all runs under a SyslogIdentifier=."""
        said = b"".join(bytes(text) for name, text in self._said if name == identifier)
        return said.decode(errors="replace")

    def close(self) -> None:
        """Take no more."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._accepting.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as stream:
            header = [stream.readline().decode().rstrip("\n") for _ in range(_HEADER_LINES)]
            text = bytearray()
            self._said.append((header[0], text))
            for line in stream:
                text += line
