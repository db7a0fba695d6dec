"""The probe of an end-to-end check: `tcp`, `tcp://host:port` or `http://host/path`. It does no I/O.

HTTP is limited to one request and the status line of its response (RFC 9112).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tunnelkeeper.core.forward_spec import (
    Address,
    Forward,
    RemoteSocksForward,
    SocksForward,
    SpecError,
    TcpAddress,
    parse_target,
)

if TYPE_CHECKING:
    from typing import Literal

HTTP_PORT = 80  # RFC 9110 section 4.2.1

MAX_RESPONSE = 4096
"""Bytes of a response that are read. A status line is far shorter."""

_VERSION = b"HTTP/1."
_STATUS_LINE = len("HTTP/1.1 200")


class ProbeError(ValueError):
    """Raised for an invalid check. The text says what was expected."""


class NotHttpError(ValueError):
    """Raised for data that is not an HTTP/1 response."""


class TcpProbe(Struct, frozen=True):
    """Connect and send nothing. target: None if the forward itself names it."""

    target: TcpAddress | None = None
    kind: Literal["tcp"] = "tcp"

    def __str__(self) -> str:
        return "tcp" if self.target is None else f"tcp://{self.target}"


class HttpProbe(Struct, frozen=True):
    """GET a path and check the status. host: for the Host field. target: as in TcpProbe."""

    host: str
    path: str
    target: TcpAddress | None = None
    kind: Literal["http"] = "http"

    def __str__(self) -> str:
        return f"http://{self.host}{self.path}"

    @property
    def request(self) -> bytes:
        """The request to send. The server closes the connection after its response."""
        lines = (
            f"GET {self.path} HTTP/1.1",
            f"Host: {self.host}",
            "User-Agent: tunnelkeeper",
            "Accept: */*",
            "Connection: close",
        )
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


Probe = TcpProbe | HttpProbe


def parse_probe(text: str, forward: Forward) -> Probe:
    """Parse the `check` of a forward.

    Raises:
        ProbeError: The check is invalid.
    """
    if text == "tcp":
        if isinstance(forward, SocksForward):
            raise ProbeError("a SOCKS proxy has no target of its own: write tcp://host:port")
        return TcpProbe()
    scheme, separator, rest = text.partition("://")
    match scheme.lower() if separator else "":
        case "https":
            raise ProbeError("https is not supported: write http://host/path, or tcp")
        case "http":
            return _parse_http(rest, text, forward)
        case "tcp" if isinstance(forward, SocksForward):
            return TcpProbe(_parse_address(rest, text))
        case "tcp":
            raise ProbeError(
                f'write "tcp": the forward itself has a target, so {text!r} needs none'
            )
    raise ProbeError(f"expected tcp or http://host/path, got {text!r}")


def target_of_probe(probe: Probe, forward_target: Address | None) -> Address:
    """Return the address that a probe connects to: its own target, else the forward's."""
    target = probe.target or forward_target
    assert target is not None  # noqa: S101  parse_probe() ensures it
    return target


def parse_status(response: bytes) -> int | None:
    """Return the status of an HTTP response from its first bytes; None if more are needed.

    Raises:
        NotHttpError: The data is not an HTTP/1 response.
    """
    if not response.startswith(_VERSION[: len(response)]):
        raise NotHttpError("the answer is not HTTP")
    if len(response) < _STATUS_LINE + 1:
        return None
    # RFC 9112 section 4: HTTP-version SP status-code SP [ reason-phrase ]; some leave the last SP.
    version, space, code, after = response[7:8], response[8:9], response[9:12], response[12:13]
    if version in b"01" and space == b" " and code.isdigit() and after in b" \r\n":
        return int(code)
    raise NotHttpError("the answer has no HTTP/1 status line")


def is_success(status: int) -> bool:
    """Return whether a status means that the target works: 2xx, or a redirect (3xx)."""
    return 200 <= status < 400


def _parse_http(rest: str, text: str, forward: Forward) -> HttpProbe:
    if isinstance(forward, RemoteSocksForward):
        raise ProbeError('a SOCKS proxy on the server\'s side takes "tcp" only')
    end = min(f"{rest}{mark}".index(mark) for mark in "/?")  # RFC 3986 section 3.2
    authority, path = rest[:end], rest[end:].removeprefix("/")
    if "@" in authority:
        raise ProbeError("a user or a password cannot stand in the URL of a check")
    if "#" in rest:
        raise ProbeError(f"no server is sent what follows a '#': leave it out of {text!r}")
    if not all(0x21 <= ord(c) < 0x7F for c in rest):
        raise ProbeError(
            "a URL is ASCII without spaces: write other characters as %20 and the like"
        )
    port = "" if authority.endswith("]") or ":" not in authority else authority.rpartition(":")[2]
    address = _parse_address(
        authority if port else f"{authority.removesuffix(':')}:{HTTP_PORT}", text
    )
    target = address if isinstance(forward, SocksForward) else None
    return HttpProbe(authority, f"/{path}", target)


def _parse_address(text: str, whole: str) -> TcpAddress:
    try:
        address = parse_target(text)
    except SpecError:
        raise ProbeError(f"expected host:port after the slashes, got {whole!r}") from None
    if not isinstance(address, TcpAddress):
        raise ProbeError(f"expected host:port after the slashes, got {whole!r}")
    return address
