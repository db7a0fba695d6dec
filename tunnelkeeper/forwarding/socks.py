"""The server's side of a SOCKS handshake, bytes in and bytes out: SOCKS 4, 4a and 5.

Served is what `ssh -D` serves: CONNECT, without authentication (RFC 1928; Ying-Da Lee's memos on
SOCKS4 and 4a). It resolves no name, opens no socket and keeps no time: deadlines are the caller's.

    awaiting VERSION ──4──> awaiting SOCKS4_REQUEST ─────────────────────────> Requested
                    ╰──5──> awaiting SOCKS5_METHODS ──> awaiting SOCKS5_REQUEST ───╯
    and from each of them, when what came is not what is served: Refused
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from socket import AF_INET, AF_INET6, inet_ntop
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.core.connect_error import Reason
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT = 0x01  # the same in SOCKS4 and RFC 1928 section 4
NO_AUTHENTICATION = 0x00  # RFC 1928 section 3
NO_ACCEPTABLE_METHODS = 0xFF
IPV4, DOMAIN_NAME, IPV6 = 0x01, 0x03, 0x04  # ATYP, RFC 1928 section 5
ADDRESS_LENGTHS = {IPV4: 4, IPV6: 16}

FIELD_LIMIT = 255
"""Bytes of a SOCKS4 user id or name. SOCKS4 sets no limit; this is what SOCKS5 can express."""

TLS_HANDSHAKE = 0x16  # the record type that opens a connection, RFC 8446 section 5.1
HTTP_METHODS = tuple(
    method + b" " for method in b"CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE".split()
)

Version = Literal[4, 5]


class Reply(Enum):
    """The reply to a request. The value is the REP field of SOCKS5 (RFC 1928 section 6)."""

    SUCCEEDED = 0x00
    GENERAL_FAILURE = 0x01
    NOT_ALLOWED = 0x02
    NETWORK_UNREACHABLE = 0x03
    HOST_UNREACHABLE = 0x04
    CONNECTION_REFUSED = 0x05
    TTL_EXPIRED = 0x06
    COMMAND_NOT_SUPPORTED = 0x07
    ADDRESS_TYPE_NOT_SUPPORTED = 0x08


REPLIES = {
    Reason.REFUSED: Reply.CONNECTION_REFUSED,
    Reason.NETWORK_UNREACHABLE: Reply.NETWORK_UNREACHABLE,
    Reason.HOST_UNREACHABLE: Reply.HOST_UNREACHABLE,
    Reason.TIMED_OUT: Reply.TTL_EXPIRED,  # the nearest that RFC 1928 has
    Reason.NOT_PERMITTED: Reply.NOT_ALLOWED,
    Reason.RESOURCE_SHORTAGE: Reply.GENERAL_FAILURE,
    Reason.FAILED: Reply.GENERAL_FAILURE,
}
"""The reply for each reason for which a target could not be connected."""


class Awaiting(Enum):
    """What has to come next, while the handshake is under way."""

    VERSION = auto()
    SOCKS4_REQUEST = auto()
    SOCKS5_METHODS = auto()
    SOCKS5_REQUEST = auto()


@dataclass(frozen=True, slots=True)
class Requested:
    """The client has named its target and waits for the reply."""

    version: Version
    target: TcpAddress


@dataclass(frozen=True, slots=True)
class Rejected:
    """The handshake is over without a request."""

    reason: str


State = Awaiting | Requested | Rejected


@dataclass(frozen=True, slots=True)
class Step:
    """What a message comes to: the next state, how many bytes it took, what to send back."""

    state: State
    taken: int = 0
    answer: bytes = b""


class Handshake:
    """One client's handshake.

    While it is under way fewer than 520 bytes are kept: the longest SOCKS4a request.
    """

    def __init__(self) -> None:
        self._state: State = Awaiting.VERSION
        self._unread = b""

    @property
    def request(self) -> TcpAddress | None:
        """The target, once it is known; the host is what the client wrote, never resolved."""
        return self._state.target if isinstance(self._state, Requested) else None

    @property
    def rejection(self) -> str | None:
        """Why there will be no request, as text for a log line: nothing more is to be read."""
        return self._state.reason if isinstance(self._state, Rejected) else None

    @property
    def leftover(self) -> bytes:
        """What came behind the request and belongs to the stream.

        It grows with whatever is still received, so stop reading as soon as `request` is set.
        """
        return self._unread if isinstance(self._state, Requested) else b""

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the client, cut anywhere; returns what to send back now.

        When `refused` is set afterwards, send what was returned and close the connection.
        """
        self._unread += data
        answer = b""
        while isinstance(self._state, Awaiting):
            step = READERS[self._state](self._unread)
            if step is None:
                break
            self._state = step.state
            self._unread = self._unread[step.taken :]
            answer += step.answer
        if isinstance(self._state, Rejected):
            self._unread = b""
        return answer

    def grant(self) -> bytes:
        """Return the reply to a request whose target is connected.

        Raises RuntimeError without a request.
        """
        return self._reply(Reply.SUCCEEDED)

    def reject(self, reason: Reason) -> bytes:
        """Return the reply to a request whose target could not be connected.

        Raises RuntimeError without a request.
        """
        return self._reply(REPLIES[reason])

    def _reply(self, reply: Reply) -> bytes:
        match self._state:
            case Requested(version=version):
                return encode_reply(version, reply)
            case state:
                raise RuntimeError(f"expected a request to reply to, got {state}")


def encode_reply(version: Version, reply: Reply) -> bytes:
    """The reply on the wire; its address is 0.0.0.0:0, since only the SSH server knows it."""
    if version == 4:
        # 0x5a: granted, 0x5b: rejected or failed; SOCKS4's other codes are about identd.
        return bytes([0, 0x5A if reply is Reply.SUCCEEDED else 0x5B]) + bytes(6)
    return bytes([5, reply.value, 0, IPV4]) + bytes(6)


# Each reader takes everything unread and returns None until its message is whole. A request is
# read to its end before it is refused, where the end can be told: closing a socket with bytes
# unread resets the connection, and the client may never see the reply.


def _read_version(unread: bytes) -> Step | None:
    """Tell SOCKS4 from SOCKS5; what else knocks here by mistake is named."""
    if not unread:
        return None
    if unread[0] == 4:
        return Step(Awaiting.SOCKS4_REQUEST)
    if unread[0] == 5:
        return Step(Awaiting.SOCKS5_METHODS)
    if unread[0] == TLS_HANDSHAKE:
        return Step(_not_socks("TLS"))
    if unread.startswith(HTTP_METHODS):
        return Step(_not_socks("HTTP"))
    if any(method.startswith(unread) for method in HTTP_METHODS):
        return None
    return Step(Rejected(f"expected SOCKS version 4 or 5 in the first byte, got {unread[0]:#04x}"))


def _not_socks(protocol: str) -> Rejected:
    return Rejected(
        f"the client speaks {protocol}, but this is a SOCKS port: "
        "set it in the client as a SOCKS proxy (socks5h://...), not as an HTTP proxy or a server"
    )


def _read_socks4_request(unread: bytes) -> Step | None:
    """VN CD DSTPORT(2) DSTIP(4) USERID NUL, and in 4a, where DSTIP is 0.0.0.x: NAME NUL."""
    if len(unread) < 8:
        return None
    command, port, address = unread[1], unread[2:4], unread[4:8]
    end = unread.find(0, 8, 8 + FIELD_LIMIT + 1)
    if end < 0:
        return _unended(unread[8:], "user id")
    if address[:3] != bytes(3) or address[3] == 0:
        return _decide(4, command, IPV4, address, port, end + 1)

    start = end + 1
    end = unread.find(0, start, start + FIELD_LIMIT + 1)
    if end < 0:
        return _unended(unread[start:], "target name")
    return _decide(4, command, DOMAIN_NAME, unread[start:end], port, end + 1)


def _unended(field: bytes, what: str) -> Step | None:
    """A SOCKS4 field whose NUL is not there: wait for it, unless the field is too long already."""
    if len(field) <= FIELD_LIMIT:
        return None
    reason = f"expected a {what} of at most {FIELD_LIMIT} bytes, got more"
    return _refuse(4, Reply.GENERAL_FAILURE, reason)


def _read_socks5_methods(unread: bytes) -> Step | None:
    """VER NMETHODS METHODS(NMETHODS), RFC 1928 section 3."""
    if len(unread) < 2 or len(unread) < (end := 2 + unread[1]):
        return None
    offered = unread[2:end]
    if NO_AUTHENTICATION in offered:
        return Step(Awaiting.SOCKS5_REQUEST, end, bytes([5, NO_AUTHENTICATION]))
    reason = (
        "SOCKS5: expected the method 'no authentication' (0) among those offered, "
        f"got {printable(', '.join(map(str, offered)), 40) or 'none'}"
    )
    return Step(Rejected(reason), end, bytes([5, NO_ACCEPTABLE_METHODS]))


def _read_socks5_request(unread: bytes) -> Step | None:
    """VER CMD RSV ATYP DST.ADDR DST.PORT(2), RFC 1928 section 4; RSV is not looked at."""
    if len(unread) < 5:  # a domain name's length is in the fifth byte
        return None
    version, command, _, address_type, name_length = unread[:5]
    if version != 5:
        reason = f"expected version 5 in the request, got {version}"
        return _refuse(5, Reply.GENERAL_FAILURE, reason)
    if address_type == DOMAIN_NAME:
        start, end = 5, 5 + name_length
    elif address_type in ADDRESS_LENGTHS:
        start, end = 4, 4 + ADDRESS_LENGTHS[address_type]
    else:
        reason = f"expected an address type of 1, 3 or 4, got {address_type}"
        return _refuse(5, Reply.ADDRESS_TYPE_NOT_SUPPORTED, reason)
    if len(unread) < end + 2:
        return None
    address, port = unread[start:end], unread[end : end + 2]
    return _decide(5, command, address_type, address, port, end + 2)


READERS: dict[Awaiting, Callable[[bytes], Step | None]] = {
    Awaiting.VERSION: _read_version,
    Awaiting.SOCKS4_REQUEST: _read_socks4_request,
    Awaiting.SOCKS5_METHODS: _read_socks5_methods,
    Awaiting.SOCKS5_REQUEST: _read_socks5_request,
}


def _decide(
    version: Version, command: int, address_type: int, address: bytes, port: bytes, end: int
) -> Step:
    """Accept a request that was read to its end, or refuse what is not served."""
    if command != CONNECT:
        reason = f"expected the command CONNECT (1), got {command}; BIND and UDP are not served"
        return _refuse(version, Reply.COMMAND_NOT_SUPPORTED, reason)
    if port == bytes(2):
        return _refuse(version, Reply.GENERAL_FAILURE, "expected a port from 1 to 65535, got 0")
    host = _host(address_type, address)
    if host is None:
        found = printable(repr(address), 80) if address else "nothing"
        reason = f"expected a target name of printable characters without spaces, got {found}"
        return _refuse(version, Reply.GENERAL_FAILURE, reason)
    return Step(Requested(version, TcpAddress(host, int.from_bytes(port))), end)


def _host(address_type: int, address: bytes) -> str | None:
    """A target as text, written as `ssh -D` writes it; None: not a name that one could look up."""
    if address_type == IPV4:
        return inet_ntop(AF_INET, address)
    if address_type == IPV6:
        return inet_ntop(AF_INET6, address)
    try:
        name = address.decode()
    except UnicodeDecodeError:
        return None
    return name if name and name.isprintable() and " " not in name else None


def _refuse(version: Version, reply: Reply, reason: str) -> Step:
    return Step(Rejected(f"SOCKS{version}: {reason}"), answer=encode_reply(version, reply))
