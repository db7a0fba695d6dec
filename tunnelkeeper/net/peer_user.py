"""The user at the other end of a connection of this machine: of a Unix socket, or TCP on Linux.

For TCP, the kernel is asked for the one socket that has our two addresses exchanged
(sock_diag(7)). Its user is the one who created it; the answer does not depend on how many sockets
there are. A connection from another machine or network namespace has no such socket here.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

    Socket = socket.socket | TransportSocket

_UCRED = struct.Struct("iII")  # Linux, unix(7): pid, uid, gid
_XUCRED = struct.Struct("=II68x")  # macOS, sys/ucred.h: version, uid, groups
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1  # macOS, sys/un.h

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_NETLINK_SOCK_DIAG = 4
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_BY_FAMILY, _ERROR, _REQUEST = 20, 2, 1
_NUMBER = struct.Struct("=i")
_REQUEST_V2 = struct.Struct("=BBBxI")  # inet_diag_req_v2: family, protocol, extensions, states
_SOCKET_ID = struct.Struct("!HH16s16s")  # inet_diag_sockid: local and remote port and address
_INTERFACE_AND_COOKIE = struct.Struct("=III")
_ANSWER = struct.Struct("=BBBB48sIIIII")  # inet_diag_msg: ..., queues, user, inode
_NO_COOKIE = 0xFFFFFFFF
_MAPPED = bytes(10) + b"\xff\xff"  # in front of an IPv4 address of an IPv6 socket
_ALL_STATES = 0xFFFFFFFF
_CONNECTED_STATES = frozenset({1, 4, 5, 8, 9, 11})
"""ESTABLISHED and the states of an orderly end (net/tcp_states.h). A socket in SYN_SENT has our
addresses too, but not our connection."""
_TIMEOUT = 1.0
_ANSWER_LIMIT = 4096


class UnknownUserError(Exception):
    """The system does not tell whose connection it is. The text says why."""


class TcpEnds(Struct, frozen=True):
    """The addresses of a TCP connection as one of its sockets has them. interface: a scope id."""

    family: int
    local: tuple[str, int]
    remote: tuple[str, int]
    interface: int = 0

    def reversed(self) -> TcpEnds:
        """Return the addresses as the socket at the other end has them."""
        return TcpEnds(self.family, self.remote, self.local, self.interface)


def user_of_client(sock: Socket) -> int:
    """Return the user id of the process that connected to us.

    A Unix socket has the user who called connect(2). A TCP socket has the user who created it,
    and may have been handed on since.

    Raises UnknownUserError, and OSError if descriptors have run out.
    """
    if sock.family == socket.AF_UNIX:
        uid = peer_uid_of(sock)
        if uid is None:
            raise UnknownUserError("this system does not tell the user of a Unix socket")
        return uid
    if sys.platform != "linux":
        raise UnknownUserError("only Linux tells the user of a TCP connection")
    try:
        ours = _ends_of(sock)
    except OSError as error:  # it has closed already
        raise UnknownUserError(f"the connection has ended: {error.strerror}") from None
    uid = find_user(ours.reversed())
    if uid is not None:
        return uid
    if find_user(ours) is None:  # our own socket exists
        raise UnknownUserError("the kernel does not tell (inet_diag is missing)")
    raise UnknownUserError("it has closed, or comes from another machine or network namespace")


def peer_uid_of(sock: Socket) -> int | None:
    """Return the user id of the process at the other end of a Unix socket, if the system tells.

    For a client, that is the process that called listen(2).
    """
    uid: int | None = None
    if sys.platform == "linux":
        _pid, uid, _gid = _UCRED.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        )
    elif sys.platform == "darwin":
        _version, uid = _XUCRED.unpack(sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size))
    return uid


def find_user(ends: TcpEnds) -> int | None:
    """Return the user of the connected TCP socket that has these addresses; None without one.

    Raises UnknownUserError if the kernel cannot be asked, and OSError if descriptors have run out.
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.settimeout(_TIMEOUT)
            kernel.send(encode_request(ends))
            answer = kernel.recv(_ANSWER_LIMIT)
    except (TimeoutError, PermissionError, ConnectionError) as error:
        raise UnknownUserError(f"the kernel does not answer: {error}") from None
    except OSError as error:
        if error.errno in {errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ENOENT}:
            raise UnknownUserError(f"the kernel cannot be asked: {error.strerror}") from None
        raise
    return parse_answer(answer, ends)


def encode_request(ends: TcpEnds) -> bytes:
    """Return the request for the one socket that has these addresses."""
    body = _REQUEST_V2.pack(ends.family, socket.IPPROTO_TCP, 0, _ALL_STATES) + _encode_id(ends)
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, 0, 0) + body


def parse_answer(data: bytes, ends: TcpEnds) -> int | None:
    """Return the user in the kernel's answer; None if the socket is not a connected one.

    A listening socket is not the client's, and one without an inode has been closed by its process,
    in which case the kernel reports user 0.

    Raises UnknownUserError for an error other than a missing socket.
    """
    if len(data) < _HEADER.size:
        return None
    length, kind, *_ = _HEADER.unpack_from(data)
    body = data[_HEADER.size : length]
    if kind == _ERROR and len(body) >= _NUMBER.size:
        number = -_NUMBER.unpack_from(body)[0]
        if number == errno.ENOENT:
            return None
        raise UnknownUserError(f"the kernel does not tell: {os.strerror(number)}")
    if kind != _BY_FAMILY or len(body) < _ANSWER.size:
        return None
    family, state, _, _, found, _, _, _, uid, inode = _ANSWER.unpack_from(body)
    is_it = _plain_id(family, found) == _plain_id(ends.family, _encode_id(ends))
    if state not in _CONNECTED_STATES or inode == 0 or not is_it:
        return None
    return int(uid)


def _plain_id(family: int, encoded: bytes) -> tuple[int, int, bytes, bytes]:
    """Return the ports and addresses of a socket; an IPv4 address has four bytes in any family.

    A program such as Java connects to 127.0.0.1 with an IPv6 socket (RFC 4291 section 2.5.5.2).
    """
    local_port, remote_port, *addresses = _SOCKET_ID.unpack_from(encoded)
    local, remote = (_plain_address(family, address) for address in addresses)
    return local_port, remote_port, local, remote


def _plain_address(family: int, padded: bytes) -> bytes:
    if family == socket.AF_INET:
        return padded[:4]
    return padded.removeprefix(_MAPPED)


def _encode_id(ends: TcpEnds) -> bytes:
    (local, local_port), (remote, remote_port) = ends.local, ends.remote
    packed = _SOCKET_ID.pack(
        local_port,
        remote_port,
        socket.inet_pton(ends.family, local),
        socket.inet_pton(ends.family, remote),
    )
    return packed + _INTERFACE_AND_COOKIE.pack(ends.interface, _NO_COOKIE, _NO_COOKIE)


def _ends_of(sock: Socket) -> TcpEnds:
    local, remote = sock.getsockname(), sock.getpeername()
    interface = remote[3] if sock.family == socket.AF_INET6 else 0
    return TcpEnds(
        sock.family,
        (_without_scope(local[0]), local[1]),
        (_without_scope(remote[0]), remote[1]),
        interface,
    )


def _without_scope(address: str) -> str:
    return address.partition("%")[0]
