"""The server's side of a SOCKS handshake, bytes in and bytes out: SOCKS 4, 4a and 5.

It serves what `ssh -D` serves, CONNECT (RFC 1928; Ying-Da Lee's memos on SOCKS4 and 4a), and if a
password is required, the login of RFC 1929. It knows no password, resolves no name, opens no socket
and has no clock; deadlines are the caller's.

    awaiting VERSION ──4──> awaiting SOCKS4_REQUEST ─────────────────────────────> Requested
                    ╰──5──> awaiting SOCKS5_METHODS ────> awaiting SOCKS5_REQUEST ───╯
                                       ╰─> awaiting SOCKS5_LOGIN ─╯
    and from each of them, after a message that is not supported or a wrong password: Rejected
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Literal

from msgspec import Struct

from tunnelkeeper.core.connect_error import Reason
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.core.text import printable

CONNECT = 0x01  # the same in SOCKS4 and in RFC 1928 section 4
NO_AUTHENTICATION = 0x00  # RFC 1928 section 3
USER_AND_PASSWORD = 0x02
NO_ACCEPTABLE_METHODS = 0xFF
LOGIN_VERSION = 0x01  # of RFC 1929, not of SOCKS
LOGIN_SUCCEEDED, LOGIN_FAILED = bytes([1, 0]), bytes([1, 1])
IPV4, DOMAIN_NAME, IPV6 = 0x01, 0x03, 0x04  # ATYP, RFC 1928 section 5
ADDRESS_LENGTHS = {IPV4: 4, IPV6: 16}

FIELD_LIMIT = 255
"""Bytes of a SOCKS4 user id or name. SOCKS4 sets no limit; SOCKS5 has a one-byte length."""

TLS_HANDSHAKE = 0x16  # the record type that opens a connection, RFC 8446 section 5.1
HTTP_METHODS = tuple(
    method + b" " for method in b"CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE".split()
)

Version = Literal[4, 5]

Authenticate = Callable[[bytes, bytes], bool]
"""Returns whether a user's password is right. It takes the same time for any answer."""


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
    Reason.TIMED_OUT: Reply.TTL_EXPIRED,  # the nearest reply that RFC 1928 has
    Reason.NOT_PERMITTED: Reply.NOT_ALLOWED,
    Reason.RESOURCE_SHORTAGE: Reply.GENERAL_FAILURE,
    Reason.FAILED: Reply.GENERAL_FAILURE,
}
"""The reply for each reason for which a target could not be connected."""


class Awaiting(Enum):
    """The message that must come next during the handshake."""

    VERSION = auto()
    SOCKS4_REQUEST = auto()
    SOCKS5_METHODS = auto()
    SOCKS5_LOGIN = auto()
    SOCKS5_REQUEST = auto()


class Requested(Struct, frozen=True):
    """The client has sent its request and waits for the reply."""

    version: Version
    target: TcpAddress


class Rejected(Struct, frozen=True):
    """The handshake has ended without a request."""

    reason: str


State = Awaiting | Requested | Rejected


class Step(Struct, frozen=True):
    """The result of reading a message: the next state, the bytes consumed and the answer."""

    state: State
    consumed: int = 0
    answer: bytes = b""


class Handshake:
    """One client's handshake.

    authenticate: checks the client's user and password; None to require none.
    It keeps fewer than 520 bytes, the length of the longest SOCKS4a request.
    """

    def __init__(self, authenticate: Authenticate | None = None) -> None:
        self._authenticate = authenticate
        self._state: State = Awaiting.VERSION
        self._unread = b""

    @property
    def request(self) -> TcpAddress | None:
        """The target, or None before the request; the host is as the client wrote it."""
        return self._state.target if isinstance(self._state, Requested) else None

    @property
    def rejection(self) -> str | None:
        """The text for a log line if the handshake has failed, else None. Then read no more."""
        return self._state.reason if isinstance(self._state, Rejected) else None

    @property
    def leftover(self) -> bytes:
        """The data after the request, which belongs to the stream.

        It grows with all further data, so stop reading as soon as `request` is set.
        """
        return self._unread if isinstance(self._state, Requested) else b""

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the client, in pieces of any size, and return the bytes to send back.

        If `rejection` is set afterwards, send them and close the connection.
        """
        self._unread += data
        answer = b""
        while isinstance(self._state, Awaiting):
            step = READERS[self._state](self._unread, self._authenticate)
            if step is None:
                break
            self._state = step.state
            self._unread = self._unread[step.consumed :]
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
    """Encode a reply. Its address is 0.0.0.0:0, because only the SSH server knows the real one."""
    if version == 4:
        # 0x5a: granted, 0x5b: rejected or failed. The other codes of SOCKS4 are about identd.
        return bytes([0, 0x5A if reply is Reply.SUCCEEDED else 0x5B]) + bytes(6)
    return bytes([5, reply.value, 0, IPV4]) + bytes(6)


# Each reader gets all unread bytes, and what checks passwords if one is required. It returns None
# until its message is complete. A request is
# read to its end, if that is known, before it is rejected: closing a socket with unread bytes
# resets the connection, and the client may never see the reply.


def _read_version(unread: bytes, _authenticate: Authenticate | None) -> Step | None:
    """Tell SOCKS4 from SOCKS5, and name another protocol in the rejection."""
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


def _read_socks4_request(unread: bytes, authenticate: Authenticate | None) -> Step | None:
    """Read VN CD DSTPORT(2) DSTIP(4) USERID NUL, and NAME NUL if DSTIP is 0.0.0.x (SOCKS4a)."""
    if len(unread) < 8:
        return None
    command, port, address = unread[1], unread[2:4], unread[4:8]
    end = unread.find(0, 8, 8 + FIELD_LIMIT + 1)
    if end < 0:
        return _read_more(unread[8:], "user id")
    if address[:3] != bytes(3) or address[3] == 0:
        return _allow_socks4(authenticate, _check_request(4, command, IPV4, address, port, end + 1))

    start = end + 1
    end = unread.find(0, start, start + FIELD_LIMIT + 1)
    if end < 0:
        return _read_more(unread[start:], "target name")
    name = unread[start:end]
    return _allow_socks4(authenticate, _check_request(4, command, DOMAIN_NAME, name, port, end + 1))


def _allow_socks4(authenticate: Authenticate | None, step: Step) -> Step:
    """Reject a complete SOCKS4 request if a password is required: SOCKS4 has none."""
    if authenticate is None:
        return step
    reason = "this proxy requires a user and password, which only SOCKS5 has"
    return _reject(4, Reply.NOT_ALLOWED, reason)


def _read_more(field: bytes, what: str) -> Step | None:
    """Wait for the NUL that ends a SOCKS4 field, or reject a field that is too long."""
    if len(field) <= FIELD_LIMIT:
        return None
    reason = f"expected a {what} of at most {FIELD_LIMIT} bytes, got more"
    return _reject(4, Reply.GENERAL_FAILURE, reason)


def _read_socks5_methods(unread: bytes, authenticate: Authenticate | None) -> Step | None:
    """Read VER NMETHODS METHODS(NMETHODS), RFC 1928 section 3."""
    if len(unread) < 2 or len(unread) < (end := 2 + unread[1]):
        return None
    offered = unread[2:end]
    method, name, following = NO_AUTHENTICATION, "no authentication", Awaiting.SOCKS5_REQUEST
    if authenticate is not None:
        method, name, following = USER_AND_PASSWORD, "user and password", Awaiting.SOCKS5_LOGIN
    if method in offered:
        return Step(following, end, bytes([5, method]))
    reason = (
        f"SOCKS5: expected the method '{name}' ({method}) among those offered, "
        f"got {printable(', '.join(map(str, offered)), 40) or 'none'}"
    )
    return Step(Rejected(reason), end, bytes([5, NO_ACCEPTABLE_METHODS]))


def _read_socks5_login(unread: bytes, authenticate: Authenticate | None) -> Step | None:
    """Read VER ULEN UNAME PLEN PASSWD, RFC 1929 section 2."""
    if len(unread) < 2 or len(unread) < (password_at := 2 + unread[1] + 1):
        return None
    end = password_at + unread[password_at - 1]
    if len(unread) < end:
        return None
    if unread[0] != LOGIN_VERSION:
        reason = f"SOCKS5: expected version 1 in the login, got {unread[0]}"
        return Step(Rejected(reason), end, LOGIN_FAILED)
    user, password = unread[2 : password_at - 1], unread[password_at:end]
    if authenticate is not None and authenticate(user, password):
        return Step(Awaiting.SOCKS5_REQUEST, end, LOGIN_SUCCEEDED)
    # Not the user: a client that mixes the fields up sends the password there.
    return Step(Rejected("SOCKS5: wrong user or password"), end, LOGIN_FAILED)


def _read_socks5_request(unread: bytes, _authenticate: Authenticate | None) -> Step | None:
    """Read VER CMD RSV ATYP DST.ADDR DST.PORT(2), RFC 1928 section 4. RSV is ignored."""
    if len(unread) < 5:  # the fifth byte is the length of a domain name
        return None
    version, command, _, address_type, name_length = unread[:5]
    if version != 5:
        reason = f"expected version 5 in the request, got {version}"
        return _reject(5, Reply.GENERAL_FAILURE, reason)
    if address_type == DOMAIN_NAME:
        start, end = 5, 5 + name_length
    elif address_type in ADDRESS_LENGTHS:
        start, end = 4, 4 + ADDRESS_LENGTHS[address_type]
    else:
        reason = f"expected an address type of 1, 3 or 4, got {address_type}"
        return _reject(5, Reply.ADDRESS_TYPE_NOT_SUPPORTED, reason)
    if len(unread) < end + 2:
        return None
    address, port = unread[start:end], unread[end : end + 2]
    return _check_request(5, command, address_type, address, port, end + 2)


READERS: dict[Awaiting, Callable[[bytes, Authenticate | None], Step | None]] = {
    Awaiting.VERSION: _read_version,
    Awaiting.SOCKS4_REQUEST: _read_socks4_request,
    Awaiting.SOCKS5_METHODS: _read_socks5_methods,
    Awaiting.SOCKS5_LOGIN: _read_socks5_login,
    Awaiting.SOCKS5_REQUEST: _read_socks5_request,
}


def _check_request(
    version: Version, command: int, address_type: int, address: bytes, port: bytes, end: int
) -> Step:
    """Accept a complete request, or reject one that is not supported."""
    if command != CONNECT:
        reason = f"expected the command CONNECT (1), got {command}; BIND and UDP are not served"
        return _reject(version, Reply.COMMAND_NOT_SUPPORTED, reason)
    if port == bytes(2):
        return _reject(version, Reply.GENERAL_FAILURE, "expected a port from 1 to 65535, got 0")
    host = _decode_host(address_type, address)
    if host is None:
        found = printable(repr(address), 80) if address else "nothing"
        reason = f"expected a target name of printable characters without spaces, got {found}"
        return _reject(version, Reply.GENERAL_FAILURE, reason)
    return Step(Requested(version, TcpAddress(host, int.from_bytes(port))), end)


def _decode_host(address_type: int, address: bytes) -> str | None:
    """Return a target's host as `ssh -D` writes it, or None if it cannot be a host name."""
    if address_type == IPV4:
        return inet_ntop(AF_INET, address)
    if address_type == IPV6:
        return inet_ntop(AF_INET6, address)
    try:
        name = address.decode()
    except UnicodeDecodeError:
        return None
    return name if name and name.isprintable() and " " not in name else None


def _reject(version: Version, reply: Reply, reason: str) -> Step:
    return Step(Rejected(f"SOCKS{version}: {reason}"), answer=encode_reply(version, reply))
