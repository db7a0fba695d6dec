"""The web server behind the demo's tunnels. It listens on loopback only."""

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
_CHUNK = hashlib.sha512(b"tunnelkeeper").digest() * 1024  # 64 KiB that hardly compress


class WebServer:
    """Serves a greeting at `/` and BLOB_BYTES of data at `/blob`."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
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


def compute_blob_hash() -> str:
    """Return the SHA-256 of the whole blob, in hexadecimal."""
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
                self._send_headers(len(GREETING))
                self.wfile.write(GREETING)
            case "/blob":
                self._send_headers(BLOB_BYTES)
                for _ in range(BLOB_BYTES // len(_CHUNK)):
                    self.wfile.write(_CHUNK)
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as in the base class
        """Log nothing, to keep the output of the demo readable."""

    def _send_headers(self, length: int) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(length))
        self.end_headers()
