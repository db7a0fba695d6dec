from __future__ import annotations

import asyncio
import errno
import socket
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.ssh.links import closed_port, unanswering
from tests.ssh.waiting import until
from tunnelkeeper.ssh import dial
from tunnelkeeper.ssh.dial import AddressInfo, connect, interleaved, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

BLACK_HOLE = "192.0.2.1"  # RFC 5737: nobody answers there; here no packet goes out


def info(host: str, port: int = 22) -> AddressInfo:
    if ":" in host:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


class FakeNetwork:
    """Sockets that connect when the test says so. tried: the addresses, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tried: list[str] = []
        self.outcomes: dict[str, asyncio.Future[None]] = {}
        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", self._connect)

    async def _connect(self, _: socket.socket, address: Any) -> None:
        self.tried.append(address[0])
        await self.outcomes.setdefault(address[0], asyncio.get_running_loop().create_future())

    def settle(self, host: str, error: OSError | None = None) -> None:
        """Let an attempt succeed or fail, now or when it comes."""
        outcome = self.outcomes.setdefault(host, asyncio.get_running_loop().create_future())
        if error is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(error)


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    return FakeNetwork(monkeypatch)


# Resolving


async def test_a_number_is_resolved_to_itself() -> None:
    assert [found[4] for found in await resolve("127.0.0.1", 22, "any")] == [("127.0.0.1", 22)]


async def test_the_address_family_is_kept_to() -> None:
    assert {found[0] for found in await resolve("localhost", 22, "inet")} == {socket.AF_INET}
    with pytest.raises(socket.gaierror):
        await resolve("127.0.0.1", 22, "inet6")


async def test_a_name_that_does_not_exist_is_a_gaierror() -> None:
    with pytest.raises(socket.gaierror):
        await resolve("no.such.host.invalid", 22, "any")


def test_the_families_take_turns_and_the_resolvers_first_choice_begins() -> None:
    found = [info("2001:db8::1"), info("2001:db8::2"), info("2001:db8::3"), info("192.0.2.1")]

    hosts = [entry[4][0] for entry in interleaved(found)]

    assert hosts == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]
    assert interleaved([]) == []


# The race


async def test_an_address_that_answers_is_connected(server: socket.socket) -> None:
    with await connect([info("127.0.0.1", server.getsockname()[1])], None) as connected:
        assert connected.getpeername() == server.getsockname()


async def test_a_refusal_lets_the_next_address_begin_at_once(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "STAGGER", 600)
    network.settle("127.0.0.2", ConnectionRefusedError())
    network.settle("127.0.0.3")
    async with asyncio.timeout(10):
        (await connect([info("127.0.0.2"), info("127.0.0.3")], None)).close()

    assert network.tried == ["127.0.0.2", "127.0.0.3"]


async def test_an_address_that_goes_nowhere_delays_the_next_by_the_stagger_only(
    network: FakeNetwork,
) -> None:
    network.settle("127.0.0.3")
    begun = asyncio.get_running_loop().time()
    async with asyncio.timeout(10):
        (await connect([info(BLACK_HOLE), info("127.0.0.3")], None)).close()

    assert dial.STAGGER * 0.9 < asyncio.get_running_loop().time() - begun < 5
    assert network.outcomes[BLACK_HOLE].cancelled()


async def test_the_same_with_a_real_black_hole(server: socket.socket) -> None:
    with unanswering() as hole:
        places = [info(*hole), info("127.0.0.1", server.getsockname()[1])]
        async with asyncio.timeout(10):
            with await connect(places, None) as connected:
                assert connected.getpeername() == server.getsockname()


async def test_a_slow_first_address_still_wins_if_it_answers_first(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "STAGGER", 0.001)
    before = psutil.Process().num_fds()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        connecting = tasks.create_task(connect([info("127.0.0.2"), info("127.0.0.3")], None))
        await until(lambda: len(network.tried) == 2)
        network.settle("127.0.0.2")

    with connecting.result() as connected:
        assert connected.fileno() > 0
        assert psutil.Process().num_fds() == before + 1
    assert network.outcomes["127.0.0.3"].cancelled()


async def test_a_failure_leaves_the_race_to_those_still_under_way(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "STAGGER", 0.001)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        connecting = tasks.create_task(connect([info("127.0.0.2"), info("127.0.0.3")], None))
        await until(lambda: len(network.tried) == 2)
        network.settle("127.0.0.2", ConnectionRefusedError())
        await until(network.outcomes["127.0.0.2"].done)
        await asyncio.wait([connecting], timeout=0)
        network.settle("127.0.0.3")

    connecting.result().close()


async def test_of_two_that_answer_in_one_turn_one_is_kept(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "STAGGER", 0.001)
    before = psutil.Process().num_fds()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        connecting = tasks.create_task(connect([info("127.0.0.2"), info("127.0.0.3")], None))
        await until(lambda: len(network.tried) == 2)
        network.settle("127.0.0.2")
        network.settle("127.0.0.3")

    connecting.result().close()
    assert psutil.Process().num_fds() == before


async def test_where_none_answers_the_first_error_is_raised(network: FakeNetwork) -> None:
    network.settle("127.0.0.2", OSError(errno.EHOSTUNREACH, "No route to host"))
    network.settle("127.0.0.3", ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
    before = psutil.Process().num_fds()
    with pytest.raises(OSError, match="No route to host"):
        await connect([info("127.0.0.2"), info("127.0.0.3")], None)

    assert psutil.Process().num_fds() == before


async def test_a_closed_port_is_refused() -> None:
    with pytest.raises(ConnectionRefusedError):
        await connect([info("127.0.0.1", closed_port())], None)


async def test_a_name_without_addresses_is_an_error() -> None:
    with pytest.raises(OSError, match="no addresses"):
        await connect([], None)


async def test_a_race_that_is_called_off_leaves_no_descriptor(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "STAGGER", 0.001)
    before = psutil.Process().num_fds()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        connecting = tasks.create_task(connect([info("127.0.0.2"), info("127.0.0.3")], None))
        await until(lambda: len(network.tried) == 2)
        connecting.cancel()

    assert connecting.cancelled()
    assert psutil.Process().num_fds() == before


async def test_a_race_that_is_called_off_when_it_was_just_won_leaves_no_descriptor(
    network: FakeNetwork,
) -> None:
    before = psutil.Process().num_fds()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        connecting = tasks.create_task(connect([info("127.0.0.2")], None))
        await until(lambda: network.tried)
        network.settle("127.0.0.2")
        while not connecting.done() and psutil.Process().num_fds() > before:
            connecting.cancel()  # in the turn of the win, and in those around it
            await asyncio.wait([connecting], timeout=0)

    assert psutil.Process().num_fds() == before


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

        assert connection.getsockopt(socket.IPPROTO_TCP, option) == dial.UNSENT


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
