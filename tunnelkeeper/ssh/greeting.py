"""A client connection that keeps what the server sends before its version string.

It overrides a private part of asyncssh's connections and rests on asyncssh 2.24.1. It judges
nothing: core.greetings does.
"""

from __future__ import annotations

GREETING_LIMIT = 1024
"""Bytes kept. The first line identifies a server; asyncssh accepts lines of 8 KiB."""


class GreetingMixin:
    """The version exchange of RFC 4253 section 4.2, with a record of the lines before."""

    _inpbuf: bytes
    _server_version: bytes
    _lines = b""
    _received = b""

    @property
    def greeting(self) -> bytes:
        """What the server sent so far, up to GREETING_LIMIT; empty once its version is known."""
        return b"" if self._server_version else self._received

    @property
    def wants_last_data(self) -> bool:
        """Whether StreamTransport reads once more after an error. The text may be the reason."""
        return not self._server_version

    def _recv_version(self) -> bool:
        before = self._inpbuf  # asyncssh drops it when the connection ends
        self._received = (self._lines + before)[:GREETING_LIMIT]
        result: bool = super()._recv_version()  # type: ignore[misc]
        line = before[: len(before) - len(self._inpbuf)]
        self._lines = (self._lines + line)[:GREETING_LIMIT]
        return result
