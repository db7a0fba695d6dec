"""Local listening sockets, bound as ssh binds them, with failures that name the owner of a port.

A protocol factory serves the clients; nothing here reads or writes their data.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS, Cause, Failure, local_resources_failure
from tunnelkeeper.core.forward_spec import (
    Address,
    TcpAddress,
    UnixAddress,
    socket_path_problem,
)
from tunnelkeeper.core.ssh_values import PRIVATE_SOCKET_FILE, SocketFileRules
from tunnelkeeper.net.acceptor import Acceptor
from tunnelkeeper.net.bind_addresses import special_addresses
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.net.happy_eyeballs import look_up
from tunnelkeeper.net.port_owner import PORT_OWNERS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

BACKLOG = 512


class ListenError(Exception):
    """Raised when a local address cannot be bound; carries the failure to report."""

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
        """The bound sockets; empty once the listener is closed."""
        sockets = [acceptor.socket for acceptor in self.acceptors]
        return [bound for bound in sockets if bound.fileno() != -1]

    def set_mask(self, mask: int) -> None:
        """Change the permissions that the file of a Unix socket lacks, if it is still ours."""
        if self.unix_socket is not None:
            path, identity = self.unix_socket
            with suppress(OSError):
                if _file_id(path) == identity:
                    path.chmod(0o777 & ~mask)

    def close(self) -> None:
        """Stop accepting, and remove the file of a Unix socket if it is still ours."""
        for acceptor in self.acceptors:
            acceptor.close()
        if self.unix_socket is not None:
            path, identity = self.unix_socket
            with suppress(OSError):
                if _file_id(path) == identity:
                    path.unlink()


async def listen(
    address: Address,
    factory: Callable[[], asyncio.Protocol],
    rules: SocketFileRules = PRIVATE_SOCKET_FILE,
    check: Callable[[], None] | None = None,
) -> Listener:
    """Listen on a local address, with all of its sockets or with none.

    rules: for the file of a Unix socket. check: of the Acceptor.

    Raises ListenError.
    """
    try:
        match address:
            case TcpAddress():
                return Listener(
                    [Acceptor(sock, factory, check) for sock in await _bind_tcp(address)]
                )
            case UnixAddress(path=name):
                path = _expand_user(name)
                return Listener(
                    [Acceptor(_bind_unix(path, rules), factory, check)], (path, _file_id(path))
                )
    except OSError as error:
        raise ListenError(_to_failure(address, error)) from error


def adopt(
    sockets: Sequence[socket.socket],
    factory: Callable[[], asyncio.Protocol],
    check: Callable[[], None] | None = None,
) -> Listener:
    """Listen on sockets that are already bound. check: of the Acceptor.

    A service manager passes such sockets on (sd_listen_fds(3)) and keeps them open when we exit.

    Raises OSError.
    """
    for bound in sockets:
        bound.setblocking(False)
        bound.listen(BACKLOG)
    return Listener([Acceptor(bound, factory, check) for bound in sockets])


async def _bind_tcp(address: TcpAddress) -> list[socket.socket]:
    bound: list[socket.socket] = []
    try:
        for family, sockaddr, is_optional in await _socket_addresses(address):
            try:
                bound.append(_bind_socket(family, sockaddr))
            except OSError as error:
                # A machine without IPv6 has no ::1 to bind.
                is_absent = error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
                if not (is_optional and is_absent):
                    raise
    except BaseException:
        for sock in bound:
            sock.close()
        raise
    return bound


async def _socket_addresses(address: TcpAddress) -> list[tuple[int, tuple[object, ...], bool]]:
    """Return the family and address of each socket, and whether the machine may lack it."""
    if special := special_addresses(address.host):
        return [(bound.family, (bound.host, address.port), bound.is_optional) for bound in special]
    infos = await look_up(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return [(info[0], info[4], False) for info in infos]


def _bind_socket(family: int, sockaddr: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        # As ssh does, so that the port can be bound again while old connections are in TIME_WAIT.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(sockaddr)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _expand_user(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise OSError(errno.ENOENT, str(error)) from error


def _bind_unix(path: Path, rules: SocketFileRules) -> socket.socket:
    """Bind a Unix socket in place of a stale socket file, or of any file if the rules say so."""
    if problem := socket_path_problem(str(path)):
        raise OSError(errno.ENAMETOOLONG, problem)
    if rules.unlink:
        path.unlink(missing_ok=True)
    else:
        _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # bind() takes the mode from the umask. A later chmod would leave the socket open meanwhile.
    before = os.umask(rules.mask)
    try:
        sock.setblocking(False)
        sock.bind(str(path))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def _remove_stale(path: Path) -> None:
    """Remove a socket file without a listener; raise OSError if the path is in use."""
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
        except BlockingIOError as error:  # the backlog of a live listener is full
            raise OSError(errno.EADDRINUSE, "another process listens there") from error
        else:
            raise OSError(errno.EADDRINUSE, "another process listens there")


def _file_id(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _to_failure(address: Address, error: OSError) -> Failure:
    message = os_error_text(error)
    hint = ""
    if error.errno in EXHAUSTION_ERRNOS:
        return local_resources_failure(f"cannot listen on {address}: {message}")
    match error.errno, address:
        case errno.EADDRINUSE, TcpAddress(port=port):
            owner = PORT_OWNERS.owner_of(port)
            message = f"port {port} is taken{f' by {owner}' if owner else ''}"
            hint = "end that program or choose another port"
            if not owner and sys.platform == "linux":  # a program of another user
                hint = f"`sudo ss -ltnp sport = :{port}` names the program; {hint}"
        case errno.EADDRINUSE, _:
            hint = "end that program or choose another path"
        case ((errno.EACCES | errno.EPERM), TcpAddress(port=port)) if port < 1024:
            hint = "ports below 1024 need root, CAP_NET_BIND_SERVICE or another port"
        case errno.EADDRNOTAVAIL, _:
            hint = "no interface of this machine has this address"
    return Failure(Cause.LOCAL_PORT_BUSY, f"cannot listen on {address}: {message}", hint=hint)
