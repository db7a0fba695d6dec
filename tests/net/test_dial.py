"""TCP connections to servers and their socket options."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psutil
import pytest

from tunnelkeeper.net import dial
from tunnelkeeper.net.dial import Source, address_of_interface, connect, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.core.configuration import AddressFamily
    from tunnelkeeper.net.happy_eyeballs import AddressInfo

UNREACHABLE = "192.0.2.1"  # RFC 5737: no host answers there; these tests send no packet


def info(host: str, port: int = 22) -> AddressInfo:
    if ":" in host:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("any", [socket.AF_INET, socket.AF_INET6]),
        ("inet", [socket.AF_INET]),
        ("inet6", [socket.AF_INET6]),
    ],
)
async def test_only_addresses_of_the_configured_family_are_returned(
    family: AddressFamily, expected: list[socket.AddressFamily]
) -> None:
    infos = []
    for host in ("127.0.0.1", "::1"):
        with suppress(socket.gaierror):
            infos += await resolve(host, 22, family)

    assert [entry[0] for entry in infos] == expected


# The bind address


async def test_the_connection_comes_from_the_bind_address(server: socket.socket) -> None:
    target = info("127.0.0.1", server.getsockname()[1])
    with await connect([target], Source("127.0.0.9")) as connected:
        assert connected.getsockname()[0] == "127.0.0.9"


async def test_the_error_names_a_bind_address_of_the_other_family(server: socket.socket) -> None:
    before = psutil.Process().num_fds()
    with pytest.raises(OSError, match="bind_address ::1: "):
        await connect([info("127.0.0.1", server.getsockname()[1])], Source("::1"))

    assert psutil.Process().num_fds() == before


async def test_a_bind_address_of_another_machine_is_an_error(server: socket.socket) -> None:
    with pytest.raises(OSError, match="assign requested address"):
        await connect([info("127.0.0.1", server.getsockname()[1])], Source(UNREACHABLE))


# The interface


async def test_the_connection_comes_from_an_address_of_the_interface(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = info("127.0.0.1", server.getsockname()[1])
    with await connect([target], Source(interface="lo")) as connected:
        assert connected.getsockname()[0] == "127.0.0.1"
    use_interfaces(monkeypatch, ("lo", "127.0.0.9"))
    with await connect([target], Source(interface="lo")) as connected:
        assert connected.getsockname()[0] == "127.0.0.9"
    with await connect([target], Source("127.0.0.8", "lo")) as connected:
        assert connected.getsockname()[0] == "127.0.0.8"


@pytest.mark.parametrize("interface", ["eth0", "none"])
async def test_an_interface_without_an_address_of_the_family_is_an_error(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch, interface: str
) -> None:
    use_interfaces(monkeypatch, ("lo", "127.0.0.1"), ("eth0", "2001:db8::1"))
    with pytest.raises(OSError, match=f"interface {interface} has no IPv4 address"):
        await connect([info("127.0.0.1", server.getsockname()[1])], Source(interface=interface))


def test_a_local_address_is_used_only_if_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    use_interfaces(
        monkeypatch,
        ("lo", "127.0.0.1"),
        ("lo", "10.0.0.1"),
        ("eth0", "fe80::1%eth0"),
        ("eth0", "2001:db8::1"),
        ("eth1", "fe80::2%eth1"),
    )
    assert address_of_interface("lo", socket.AF_INET) == "10.0.0.1"
    assert address_of_interface("eth0", socket.AF_INET6) == "2001:db8::1"
    assert address_of_interface("eth1", socket.AF_INET6) == "fe80::2%eth1"


def use_interfaces(monkeypatch: pytest.MonkeyPatch, *interfaces: tuple[str, str]) -> None:
    found: dict[str, list[SimpleNamespace]] = {}
    for name, address in interfaces:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        found.setdefault(name, []).append(SimpleNamespace(family=family, address=address))
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: found)


# Unacknowledged and unsent data


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux's own option")
@pytest.mark.parametrize(
    ("seconds", "option"), [(60, 60_000), (0.5, 500), (0, 0), (1e9, 2**31 - 1)]
)
def test_the_timeout_for_unacknowledged_data_is_set(seconds: float, option: int) -> None:
    with socket.socket() as connection:
        dial.limit_unacknowledged(connection, seconds)

        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == option


@pytest.mark.skipif(dial.TCP_NOTSENT_LOWAT is None, reason="an option of Linux and macOS")
def test_the_limit_for_unsent_data_is_set() -> None:
    option = dial.TCP_NOTSENT_LOWAT
    assert option is not None
    with socket.socket() as connection:
        dial.limit_unsent(connection)

        assert connection.getsockopt(socket.IPPROTO_TCP, option) == dial.UNSENT_LIMIT


def test_a_socket_without_the_unsent_limit_stays_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sock, peer = socket.socketpair()
    with sock, peer:
        dial.limit_unsent(sock)
        monkeypatch.setattr(dial, "TCP_NOTSENT_LOWAT", None)
        dial.limit_unsent(sock)


def test_a_system_without_user_timeouts_is_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)
    with socket.socket() as connection:
        dial.limit_unacknowledged(connection, 60)


# Retransmission


def rto_max(connection: socket.socket) -> int:
    """Return TCP_RTO_MAX_MS; skip the test if the kernel does not have it."""
    try:
        return connection.getsockopt(socket.IPPROTO_TCP, dial._TCP_RTO_MAX_MS)
    except OSError:
        pytest.skip("Linux has TCP_RTO_MAX_MS since 6.15")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own option")
async def test_data_is_retransmitted_sooner_if_a_timeout_is_set(
    server: socket.socket,
) -> None:
    with await connect([info("127.0.0.1", server.getsockname()[1])]) as connection:
        assert rto_max(connection) == 120_000
        dial.limit_unacknowledged(connection, 0)
        assert rto_max(connection) == 120_000
        dial.limit_unacknowledged(connection, 60)
        assert rto_max(connection) == 5000


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own option")
async def test_a_syn_is_retransmitted_at_least_every_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded: list[tuple[int, int]] = []

    async def record(connection: socket.socket, _: object) -> None:
        syns = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT)
        recorded.append((rto_max(connection), syns))

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", record)
    (await connect([info("127.0.0.1")])).close()

    assert recorded == [(2000, 127)]


def test_a_kernel_without_the_rto_option_is_left_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "_TCP_RTO_MAX_MS", 0x7FFF)
    with socket.socket() as connection:
        dial.limit_unacknowledged(connection, 5)
