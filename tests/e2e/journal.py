"""A substitute for systemd-journald that records the output of services unchanged."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HEADER_LINES = 7
"""Header lines that systemd sends: identifier, unit, priority, level prefix, and three more."""


class Journal:
    """Listens on the Unix socket to which systemd connects the output of services."""

    def __init__(self, path: Path) -> None:
        self._streams: list[tuple[str, bytearray]] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        path.chmod(0o666)
        self._server.listen(64)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def text(self) -> str:
        """Return all lines, with priority prefixes such as <6>."""
        return b"".join(bytes(text) for _, text in self._streams).decode(errors="replace")

    def lines_of(self, identifier: str) -> str:
        """Return the output of all runs under a SyslogIdentifier=."""
        output = b"".join(bytes(text) for name, text in self._streams if name == identifier)
        return output.decode(errors="replace")

    def close(self) -> None:
        """Stop listening."""
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
            self._streams.append((header[0], text))
            for line in stream:
                text += line
