"""The service behind the demo's tunnels: a small web server on loopback."""

from __future__ import annotations

import hashlib
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

GREETING = b"hello from the service at the far end of the tunnel\n"
BLOB_BYTES = 16 * 1024 * 1024
_CHUNK = hashlib.sha512(b"tunnelkeeper").digest() * 1024  # 64 KiB that compress badly


class WebService:
    """Serves `/`, a greeting, and `/blob`, BLOB_BYTES of data with their hash in the header."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def blob_hash() -> str:
    """SHA-256 of the whole blob, in hexadecimal."""
    digest = hashlib.sha256()
    for _ in range(BLOB_BYTES // len(_CHUNK)):
        digest.update(_CHUNK)
    return digest.hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer one request."""
        match self.path:
            case "/":
                self._begin(len(GREETING))
                self.wfile.write(GREETING)
            case "/blob":
                self._begin(BLOB_BYTES)
                for _ in range(BLOB_BYTES // len(_CHUNK)):
                    self.wfile.write(_CHUNK)
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Say nothing: the demo's own lines are what counts."""

    def _begin(self, length: int) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(length))
        self.end_headers()
