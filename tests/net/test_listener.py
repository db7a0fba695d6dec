from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tunnelkeeper.core.failures import Cause
from tunnelkeeper.core.forward_spec import SOCKET_PATH_LIMIT, TcpAddress, UnixAddress
from tunnelkeeper.net import listener as module
from tunnelkeeper.net.listener import (
    Listener,
    ListenError,
    listen,
)
from tunnelkeeper.net.port_owner import PortOwners

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from tunnelkeeper.core.forward_spec import Address

    Listen = Callable[[Address], Awaitable[Listener]]

needs_ipv6 = pytest.mark.skipif(
    not Path("/proc/net/if_inet6").exists(), reason="this machine has no ::1"
)


class Greeter(asyncio.Protocol):
    """Sends a greeting and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


@pytest.fixture
async def listening() -> AsyncIterator[Listen]:
    """Yield `listen` with a greeter; close its listeners afterwards."""
    listeners: list[Listener] = []

    async def start(address: Address) -> Listener:
        listeners.append(await listen(address, Greeter))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close()


@pytest.fixture
def used_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Listen on a port of 127.0.0.1 that no scan has seen yet. Yield the port."""
    monkeypatch.setattr(module, "PORT_OWNERS", PortOwners())
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    """Return a port that is free on every interface."""
    with socket.socket() as v4:
        v4.bind(("0.0.0.0", 0))
        return int(v4.getsockname()[1])


def bound_addresses(listener: Listener) -> list[tuple[str, int]]:
    return sorted(sock.getsockname()[:2] for sock in listener.sockets)


async def greeting(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        return await reader.read()
    finally:
        writer.close()


async def greeting_at(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        return await reader.read()
    finally:
        writer.close()


async def failure_of(address: Address) -> str:
    with pytest.raises(ListenError) as failed:
        await listen(address, Greeter)
    assert failed.value.failure.cause is Cause.LOCAL_PORT_BUSY
    assert str(failed.value) == str(failed.value.failure)
    return f"{failed.value.failure.message}; {failed.value.failure.hint}"


# TCP


@needs_ipv6
async def test_localhost_is_bound_on_both_loopback_addresses(listening: Listen) -> None:
    port = free_port()
    listener = await listening(TcpAddress("localhost", port))

    assert bound_addresses(listener) == [("127.0.0.1", port), ("::1", port)]
    assert await greeting("127.0.0.1", port) == await greeting("::1", port) == b"hello"


async def test_a_machine_without_ipv6_listens_on_ipv4_alone(
    listening: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module._bind_socket

    def without_ipv6(family: int, sockaddr: tuple[object, ...]) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return real(family, sockaddr)

    monkeypatch.setattr(module, "_bind_socket", without_ipv6)
    port = free_port()

    assert bound_addresses(await listening(TcpAddress("localhost", port))) == [("127.0.0.1", port)]


@needs_ipv6
async def test_every_interface_is_bound_in_both_families(listening: Listen) -> None:
    port = free_port()
    listener = await listening(TcpAddress("*", port))

    assert bound_addresses(listener) == [("0.0.0.0", port), ("::", port)]
    assert await greeting("127.0.0.1", port) == await greeting("::1", port) == b"hello"


async def test_one_address_is_bound_alone(listening: Listen) -> None:
    port = free_port()

    assert bound_addresses(await listening(TcpAddress("127.0.0.1", port))) == [("127.0.0.1", port)]


async def test_a_used_port_is_reported_with_the_program_that_owns_it(used_port: int) -> None:
    message = await failure_of(TcpAddress("127.0.0.1", used_port))

    process = psutil.Process()
    assert message == (
        f"cannot listen on 127.0.0.1:{used_port}: port {used_port} is taken by {process.name()} "
        f"(pid {process.pid}); end that program or choose another port"
    )


async def test_a_used_port_with_an_unknown_owner_is_reported(
    used_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(kind: str) -> list[object]:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)

    message = await failure_of(TcpAddress("127.0.0.1", used_port))

    assert message.startswith(f"cannot listen on 127.0.0.1:{used_port}: port {used_port} is taken;")
    assert f"`sudo ss -ltnp sport = :{used_port}`" in message


@needs_ipv6
async def test_either_all_sockets_of_an_address_are_bound_or_none() -> None:
    with socket.socket(socket.AF_INET6) as v6:
        v6.bind(("::1", 0))
        v6.listen()
        port = v6.getsockname()[1]
        await failure_of(TcpAddress("localhost", port))

        with socket.socket() as v4:
            v4.bind(("127.0.0.1", port))  # the socket of the failed attempt is closed


async def test_an_address_without_an_interface_is_reported() -> None:
    message = await failure_of(TcpAddress("192.0.2.1", 8080))

    assert message == (
        "cannot listen on 192.0.2.1:8080: Cannot assign requested address; "
        "no interface of this machine has this address"
    )


async def test_a_port_that_needs_privileges_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(family: int, sockaddr: tuple[object, ...]) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(module, "_bind_socket", denied)

    message = await failure_of(TcpAddress("127.0.0.1", 80))

    assert message == (
        "cannot listen on 127.0.0.1:80: Permission denied; "
        "ports below 1024 need root, CAP_NET_BIND_SERVICE or another port"
    )
    assert (await failure_of(TcpAddress("127.0.0.1", 8080))).endswith("denied; ")


async def test_a_bind_address_that_does_not_resolve_is_a_failure() -> None:
    message = await failure_of(TcpAddress("no.such.host.invalid", 8080))

    assert message.startswith("cannot listen on no.such.host.invalid:8080: ")


async def test_a_port_is_free_again_after_the_close(listening: Listen) -> None:
    port = free_port()
    (await listening(TcpAddress("127.0.0.1", port))).close()

    await listening(TcpAddress("127.0.0.1", port))

    assert await greeting("127.0.0.1", port) == b"hello"


async def test_closing_twice_is_no_error(listening: Listen) -> None:
    listener = await listening(TcpAddress("127.0.0.1", 0))

    listener.close()
    listener.close()


# Unix sockets


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db.sock"


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Clear the umask, so that modes are those that the code sets."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def move_away(path: Path) -> None:
    path.rename(path.with_name("moved"))


def is_socket(path: Path) -> bool:
    return path.is_socket()


def leave_stale(path: Path) -> None:
    """Leave a socket file without a listener."""
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))


@pytest.mark.usefixtures("open_umask")
async def test_only_its_owner_can_use_a_unix_socket(listening: Listen, path: Path) -> None:
    await listening(UnixAddress(str(path)))

    assert mode(path) == 0o600
    assert await greeting_at(path) == b"hello"
    assert os.umask(0) == 0  # the umask is restored


async def test_a_stale_socket_file_is_replaced(listening: Listen, path: Path) -> None:
    leave_stale(path)

    await listening(UnixAddress(str(path)))

    assert await greeting_at(path) == b"hello"


async def test_a_live_socket_is_never_replaced(listening: Listen, path: Path) -> None:
    await listening(UnixAddress(str(path)))

    message = await failure_of(UnixAddress(str(path)))

    assert message == (
        f"cannot listen on {path}: another process listens there; "
        "end that program or choose another path"
    )
    assert await greeting_at(path) == b"hello"


async def test_a_live_socket_whose_backlog_is_full_is_never_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))

        assert "another process listens there" in await failure_of(UnixAddress(str(path)))
        assert is_socket(path)


@pytest.fixture
def existing(path: Path) -> Path:
    """Create a regular file at the path."""
    path.write_text("content")
    return path


def text_of(path: Path) -> str:
    return path.read_text()


async def test_a_file_that_is_not_a_socket_is_never_replaced(existing: Path) -> None:
    message = await failure_of(UnixAddress(str(existing)))

    assert message.startswith(f"cannot listen on {existing}: the path exists and is not a socket")
    assert text_of(existing) == "content"


@pytest.fixture
def symlink(path: Path, tmp_path: Path) -> Path:
    """Create a symbolic link to a stale socket."""
    leave_stale(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    return path


async def test_a_link_to_a_socket_is_not_followed(symlink: Path) -> None:
    assert "not a socket" in await failure_of(UnixAddress(str(symlink)))
    assert is_socket(symlink)  # the target of the link still exists


async def test_close_removes_the_socket_file(listening: Listen, path: Path) -> None:
    (await listening(UnixAddress(str(path)))).close()

    assert not is_socket(path)


async def test_close_keeps_a_foreign_socket_file(listening: Listen, path: Path) -> None:
    listener = await listening(UnixAddress(str(path)))
    move_away(path)
    leave_stale(path)

    listener.close()

    assert is_socket(path)


async def test_a_removed_socket_file_is_no_error(listening: Listen, path: Path) -> None:
    listener = await listening(UnixAddress(str(path)))
    move_away(path)

    listener.close()

    assert not is_socket(path)


async def test_a_path_that_is_too_long_for_a_socket_is_reported(tmp_path: Path) -> None:
    path = tmp_path / ("x" * SOCKET_PATH_LIMIT)

    assert f"at most {SOCKET_PATH_LIMIT} bytes" in await failure_of(UnixAddress(str(path)))


async def test_the_longest_possible_path_is_bound(
    listening: Listen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("x" * SOCKET_PATH_LIMIT)

    await listening(UnixAddress(str(path)))

    assert is_socket(path)


async def test_a_missing_folder_is_a_failure(tmp_path: Path) -> None:
    message = await failure_of(UnixAddress(str(tmp_path / "none" / "db.sock")))

    assert "No such file or directory" in message


async def test_a_home_folder_is_expanded(
    listening: Listen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    await listening(UnixAddress("~/db.sock"))

    assert is_socket(tmp_path / "db.sock")


async def test_the_home_folder_of_an_unknown_user_is_a_failure() -> None:
    message = await failure_of(UnixAddress("~no-such-user/db.sock"))

    assert message.startswith("cannot listen on ~no-such-user/db.sock: ")


async def test_a_path_that_cannot_be_bound_leaves_no_descriptor(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    with suppress(ListenError):
        await listen(UnixAddress(str(tmp_path / "none" / "db.sock")), Greeter)

    assert psutil.Process().num_fds() == before
