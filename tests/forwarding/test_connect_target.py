from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from tests.forwarding.services import echo, service
from tests.ssh.links import closed_port, full_backlog
from tests.ssh.waiting import until
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress
from tunnelkeeper.forwarding import connect_target
from tunnelkeeper.forwarding.connect_target import connect_endpoint
from tunnelkeeper.forwarding.pump import SocketEndpoint

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.core.forward_spec import Address


async def error_of(target: Address) -> ConnectError:
    async with asyncio.timeout(10):
        with pytest.raises(ConnectError) as raised:
            await connect_endpoint(target, SocketEndpoint())
    return raised.value


async def test_a_tcp_target_is_connected_and_not_read_before_it_has_a_peer() -> None:
    async with service(echo) as port:
        endpoint = SocketEndpoint()
        await connect_endpoint(TcpAddress("127.0.0.1", port), endpoint)

        assert endpoint._transport is not None
        assert not endpoint._transport.is_reading()
        endpoint.abort()
        await until(lambda: endpoint.is_closed)


async def test_a_unix_target_is_connected(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    async with service(echo, path):
        endpoint = SocketEndpoint()
        await connect_endpoint(UnixAddress(str(path)), endpoint)

        assert endpoint.origin == ("", 0)
        endpoint.abort()
        await until(lambda: endpoint.is_closed)


async def test_connecting_to_a_closed_port_is_refused() -> None:
    target = TcpAddress("127.0.0.1", closed_port())
    error = await error_of(target)

    assert error.reason is Reason.REFUSED
    assert str(target) in str(error)


async def test_connecting_to_a_missing_socket_file_fails(tmp_path: Path) -> None:
    error = await error_of(UnixAddress(str(tmp_path / "none.sock")))

    assert error.reason is Reason.FAILED


async def test_a_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with service(echo, tmp_path / "echo.sock"):
        endpoint = SocketEndpoint()
        await connect_endpoint(UnixAddress("~/echo.sock"), endpoint)
        endpoint.abort()
        await until(lambda: endpoint.is_closed)


async def test_the_home_folder_of_an_unknown_user_fails() -> None:
    error = await error_of(UnixAddress("~no-such-user/echo.sock"))

    assert error.reason is Reason.FAILED


async def test_a_name_that_does_not_resolve_is_host_unreachable() -> None:
    error = await error_of(TcpAddress("no.such.host.invalid", 80))

    assert error.reason is Reason.HOST_UNREACHABLE
    assert str(error).startswith("no.such.host.invalid:80: ")


@pytest.mark.parametrize("name", ["x" * 64 + ".example", "a..b", "nul\0byte"])
async def test_an_invalid_host_name_is_a_connect_error_and_not_a_crash(name: str) -> None:
    error = await error_of(TcpAddress(name, 80))

    assert error.reason in {Reason.FAILED, Reason.HOST_UNREACHABLE}


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENETUNREACH, Reason.NETWORK_UNREACHABLE),
        (errno.EHOSTUNREACH, Reason.HOST_UNREACHABLE),
        (errno.EACCES, Reason.NOT_PERMITTED),
        (errno.EPERM, Reason.NOT_PERMITTED),
        (errno.EMFILE, Reason.RESOURCE_SHORTAGE),
        (errno.ENOBUFS, Reason.RESOURCE_SHORTAGE),
        (errno.ECONNRESET, Reason.FAILED),
    ],
)
async def test_each_errno_has_its_reason(
    number: int, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise OSError(number, "the text of the system")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", fail)
    error = await error_of(TcpAddress("192.0.2.1", 80))

    assert error.reason is reason
    assert str(error) == f"192.0.2.1:80: {os.strerror(number)}"


async def test_several_addresses_that_all_refuse_give_one_error() -> None:
    error = await error_of(TcpAddress("localhost", closed_port()))

    assert error.reason is Reason.REFUSED
    assert str(error).endswith(": Connection refused")


async def test_a_target_that_never_answers_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect_target, "CONNECT_TIMEOUT", 0.05)
    with full_backlog() as (host, port):
        error = await error_of(TcpAddress(host, port))

    assert error.reason is Reason.TIMED_OUT
    assert "no answer within" in str(error)


async def test_a_target_that_resets_at_once_is_a_failed_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def connect(*_: object) -> socket.socket:
        return disconnected

    monkeypatch.setattr(connect_target, "connect_address", connect)
    with socket.socket() as disconnected:
        error = await error_of(TcpAddress("127.0.0.1", 80))

        assert disconnected.fileno() == -1
    assert error.reason is Reason.FAILED


async def test_a_timeout_of_the_kernel_is_a_timeout_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ETIMEDOUT, "Connection timed out")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", fail)

    assert (await error_of(TcpAddress("192.0.2.1", 80))).reason is Reason.TIMED_OUT
