"""Local listening sockets: bind them as ssh does, say who holds a port that is taken, let go.

Nothing here knows what its clients want; each accepted one is handed to a protocol factory.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS, Cause, Failure, local_resources_failure
from tunnelkeeper.core.forward_spec import Address, TcpAddress, UnixAddress
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.acceptor import Acceptor
from tunnelkeeper.net.bind_addresses import special_addresses
from tunnelkeeper.net.port_owner import PORT_OWNERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BACKLOG = 512
UNIX_PATH_LIMIT = 107
"""Bytes of sun_path without its end (unix(7))."""


class ListenError(Exception):
    """A local address cannot be listened on."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


@dataclass(slots=True)
class Listener:
    """The sockets of one local address."""

    acceptors: list[Acceptor]
    unix_socket: tuple[Path, tuple[int, int]] | None = None

    @property
    def sockets(self) -> list[socket.socket]:
        """What is bound; nothing any more once it is closed."""
        sockets = [acceptor.socket for acceptor in self.acceptors]
        return [bound for bound in sockets if bound.fileno() != -1]

    def close(self) -> None:
        """Accept no more; a Unix socket's file goes too, if it is still ours."""
        for acceptor in self.acceptors:
            acceptor.close()
        if self.unix_socket is not None:
            path, identity = self.unix_socket
            with suppress(OSError):
                if _identity(path) == identity:
                    path.unlink()


async def listen(address: Address, factory: Callable[[], asyncio.Protocol]) -> Listener:
    """Listen on a local address.

    Raises ListenFailed: all of an address's sockets are bound, or none.
    """
    try:
        match address:
            case TcpAddress():
                return Listener([Acceptor(one, factory) for one in await _bind_tcp(address)])
            case UnixAddress(path=name):
                path = _expanded(name)
                return Listener([Acceptor(_bind_unix(path), factory)], (path, _identity(path)))
    except OSError as error:
        raise ListenError(_why(address, error)) from error


def adopt(sockets: Sequence[socket.socket], factory: Callable[[], asyncio.Protocol]) -> Listener:
    """Serve on sockets that are bound already: a service manager's, who keeps them when we end.

    Raises OSError.
    """
    for bound in sockets:
        bound.setblocking(False)
        bound.listen(BACKLOG)
    return Listener([Acceptor(bound, factory) for bound in sockets])


async def _bind_tcp(address: TcpAddress) -> list[socket.socket]:
    bound: list[socket.socket] = []
    try:
        for family, where, optional in await _places(address):
            try:
                bound.append(_bind_one(family, where))
            except OSError as error:
                # "Where there is one": a machine without IPv6 has no ::1 to bind.
                absent = error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
                if not (optional and absent):
                    raise
    except BaseException:
        for one in bound:
            one.close()
        raise
    return bound


async def _places(address: TcpAddress) -> list[tuple[int, tuple[object, ...], bool]]:
    """The family and socket address of each socket to bind, and whether it may be missing."""
    if special := special_addresses(address.host):
        return [(bound.family, (bound.host, address.port), bound.is_optional) for bound in special]
    infos = await asyncio.get_running_loop().getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return [(info[0], info[4], False) for info in infos]


def _bind_one(family: int, where: tuple[object, ...]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setblocking(False)
        # As ssh does: a port of connections that have just ended can be bound again at once.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(where)
        one.listen(BACKLOG)
    except BaseException:
        one.close()
        raise
    return one


def _expanded(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise OSError(errno.ENOENT, str(error)) from error


def _bind_unix(path: Path) -> socket.socket:
    """Bind a Unix socket that only its owner can use; replace a file nobody listens on."""
    if len(os.fsencode(path)) > UNIX_PATH_LIMIT:
        raise OSError(errno.ENAMETOOLONG, f"a socket path has at most {UNIX_PATH_LIMIT} bytes")
    _remove_stale(path)
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mode must be right from the first moment; the umask is what bind() goes by.
    before = os.umask(0o177)
    try:
        one.setblocking(False)
        one.bind(str(path))
        one.listen(BACKLOG)
    except BaseException:
        one.close()
        raise
    finally:
        os.umask(before)
    return one


def _remove_stale(path: Path) -> None:
    """Remove a socket file that nobody listens on; leave everything else alone."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise FileExistsError(errno.EEXIST, "the path exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except BlockingIOError as error:  # its backlog is full: somebody is alive there
            raise OSError(errno.EADDRINUSE, "another process listens there") from error
        else:
            raise OSError(errno.EADDRINUSE, "another process listens there")


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _why(address: Address, error: OSError) -> Failure:
    words = printable(error.strerror or str(error))
    hint = ""
    if error.errno in EXHAUSTION_ERRNOS:
        return local_resources_failure(f"cannot listen on {address}: {words}")
    match error.errno, address:
        case errno.EADDRINUSE, TcpAddress(port=port):
            holder = PORT_OWNERS.of(port)
            words = f"port {port} is taken{f' by {holder}' if holder else ''}"
            hint = "end that program or choose another port"
        case errno.EADDRINUSE, _:
            hint = "end that program or choose another path"
        case ((errno.EACCES | errno.EPERM), TcpAddress(port=port)) if port < 1024:
            hint = "ports below 1024 need root, CAP_NET_BIND_SERVICE or another port"
        case errno.EADDRNOTAVAIL, _:
            hint = "no interface of this machine has this address"
    return Failure(Cause.LOCAL_PORT_BUSY, f"cannot listen on {address}: {words}", hint=hint)
