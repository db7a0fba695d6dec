from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from tunnelkeeper.net import dial
from tunnelkeeper.net.dial import connect, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.core.configuration import AddressFamily
    from tunnelkeeper.net.happy_eyeballs import AddressInfo

BLACK_HOLE = "192.0.2.1"  # RFC 5737: nobody answers there; here no packet goes out


def info(host: str, port: int = 22) -> AddressInfo:
    if ":" in host:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.mark.parametrize(
    ("family", "found"),
    [
        ("any", [socket.AF_INET, socket.AF_INET6]),
        ("inet", [socket.AF_INET]),
        ("inet6", [socket.AF_INET6]),
    ],
)
async def test_the_address_family_is_kept_to(
    family: AddressFamily, found: list[socket.AddressFamily]
) -> None:
    infos = []
    for host in ("127.0.0.1", "::1"):
        with suppress(socket.gaierror):
            infos += await resolve(host, 22, family)

    assert [entry[0] for entry in infos] == found


# The bind address


async def test_the_connection_comes_from_the_bind_address(server: socket.socket) -> None:
    with await connect([info("127.0.0.1", server.getsockname()[1])], "127.0.0.9") as connected:
        assert connected.getsockname()[0] == "127.0.0.9"


async def test_a_bind_address_of_the_other_family_names_itself(server: socket.socket) -> None:
    before = psutil.Process().num_fds()
    with pytest.raises(OSError, match="bind_address ::1: "):
        await connect([info("127.0.0.1", server.getsockname()[1])], "::1")

    assert psutil.Process().num_fds() == before


async def test_a_bind_address_that_is_not_ours_is_an_error(server: socket.socket) -> None:
    with pytest.raises(OSError, match="assign requested address"):
        await connect([info("127.0.0.1", server.getsockname()[1])], BLACK_HOLE)


# What is never acknowledged


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux's own option")
@pytest.mark.parametrize(
    ("seconds", "option"), [(60, 60_000), (0.5, 500), (0, 0), (1e9, 2**31 - 1)]
)
def test_the_kernel_is_told_how_long_data_may_stay_unacknowledged(
    seconds: float, option: int
) -> None:
    with socket.socket() as connection:
        dial.limit_unacknowledged(connection, seconds)

        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == option


@pytest.mark.skipif(dial.TCP_NOTSENT_LOWAT is None, reason="an option of Linux and macOS")
def test_the_kernel_is_told_to_take_little_that_it_cannot_send() -> None:
    option = dial.TCP_NOTSENT_LOWAT
    assert option is not None
    with socket.socket() as connection:
        dial.limit_unsent(connection)

        assert connection.getsockopt(socket.IPPROTO_TCP, option) == dial.UNSENT_LIMIT


def test_a_socket_that_knows_no_such_limit_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = socket.socketpair()
    with left, right:
        dial.limit_unsent(left)
        monkeypatch.setattr(dial, "TCP_NOTSENT_LOWAT", None)
        dial.limit_unsent(left)


def test_a_system_without_the_option_is_left_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)
    with socket.socket() as connection:
        dial.limit_unacknowledged(connection, 60)


# What is repeated


def longest_pause(connection: socket.socket) -> int:
    """Milliseconds; from a kernel that has no such option, there is nothing to test."""
    try:
        return connection.getsockopt(socket.IPPROTO_TCP, dial._TCP_RTO_MAX_MS)
    except OSError:
        pytest.skip("Linux has TCP_RTO_MAX_MS since 6.15")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own option")
async def test_the_kernel_repeats_soon_where_it_is_told_when_to_give_up(
    server: socket.socket,
) -> None:
    with await connect([info("127.0.0.1", server.getsockname()[1])], None) as connection:
        assert longest_pause(connection) == 120_000
        dial.limit_unacknowledged(connection, 0)
        assert longest_pause(connection) == 120_000
        dial.limit_unacknowledged(connection, 60)
        assert longest_pause(connection) == 5000


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own option")
async def test_a_connection_is_asked_for_again_every_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, int]] = []

    async def look(connection: socket.socket, _: object) -> None:
        syns = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT)
        asked.append((longest_pause(connection), syns))

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", look)
    (await connect([info("127.0.0.1")], None)).close()

    assert asked == [(2000, 127)]


def test_a_kernel_that_cannot_be_told_is_left_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "_TCP_RTO_MAX_MS", 0x7FFF)
    with socket.socket() as connection:
        dial.limit_unacknowledged(connection, 5)
