"""Name resolution, and the race between the addresses of a host."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.ssh.links import closed_port, full_backlog
from tests.ssh.waiting import until
from tunnelkeeper.net import happy_eyeballs
from tunnelkeeper.net.happy_eyeballs import (
    AddressInfo,
    connect_address,
    connect_first,
    interleave,
    resolve,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNREACHABLE = "192.0.2.1"  # RFC 5737: no host answers there; these tests send no packet


def info(host: str, port: int = 22) -> AddressInfo:
    if ":" in host:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


async def connect(infos: Sequence[AddressInfo]) -> socket.socket:
    return await connect_first(infos, connect_address)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


class FakeNetwork:
    """A network whose connection attempts succeed or fail on command. attempted: in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.attempted: list[str] = []
        self.outcomes: dict[str, asyncio.Future[None]] = {}
        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", self._connect)

    async def _connect(self, _: socket.socket, address: Any) -> None:
        self.attempted.append(address[0])
        await self.outcomes.setdefault(address[0], asyncio.get_running_loop().create_future())

    def settle(self, host: str, error: OSError | None = None) -> None:
        """Make a current or future attempt succeed or fail."""
        outcome = self.outcomes.setdefault(host, asyncio.get_running_loop().create_future())
        if error is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(error)


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    return FakeNetwork(monkeypatch)


# Resolving


async def test_an_ip_address_is_resolved_to_itself() -> None:
    assert [found[4] for found in await resolve("127.0.0.1", 22)] == [("127.0.0.1", 22)]


async def test_only_addresses_of_the_requested_family_are_returned() -> None:
    assert {found[0] for found in await resolve("localhost", 22, socket.AF_INET)} == {
        socket.AF_INET
    }
    with pytest.raises(socket.gaierror):
        await resolve("127.0.0.1", 22, socket.AF_INET6)


async def test_a_name_that_does_not_exist_is_a_gaierror() -> None:
    with pytest.raises(socket.gaierror):
        await resolve("no.such.host.invalid", 22)


async def test_a_lookup_without_descriptors_does_not_blame_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(happy_eyeballs, "are_exhausted", lambda: True)

    with pytest.raises(OSError, match="no descriptor to ask") as caught:
        await resolve("no.such.host.invalid", 22)
    assert caught.value.errno == errno.EMFILE


@pytest.mark.parametrize("name", ["a..b", f"{'x' * 64}.example", "b\u00fccher..example"])
async def test_a_name_that_cannot_be_encoded_is_a_failed_lookup(name: str) -> None:
    with pytest.raises(socket.gaierror, match="not a valid host name"):
        await resolve(name, 22)


def test_families_alternate_and_the_resolvers_first_choice_leads() -> None:
    found = [info("2001:db8::1"), info("2001:db8::2"), info("2001:db8::3"), info("192.0.2.1")]

    hosts = [entry[4][0] for entry in interleave(found)]

    assert hosts == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]
    assert interleave([]) == []


# The race


async def test_an_address_that_answers_is_connected(server: socket.socket) -> None:
    with await connect([info("127.0.0.1", server.getsockname()[1])]) as connected:
        assert connected.getpeername() == server.getsockname()


async def test_a_refusal_starts_the_next_attempt_at_once(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(happy_eyeballs, "STAGGER", 600)
    network.settle("127.0.0.2", ConnectionRefusedError())
    network.settle("127.0.0.3")
    async with asyncio.timeout(10):
        (await connect([info("127.0.0.2"), info("127.0.0.3")])).close()

    assert network.attempted == ["127.0.0.2", "127.0.0.3"]


async def test_an_unanswered_attempt_delays_the_next_one_by_the_stagger_only(
    network: FakeNetwork,
) -> None:
    network.settle("127.0.0.3")
    started = asyncio.get_running_loop().time()
    async with asyncio.timeout(60):  # without the stagger it would wait forever
        (await connect([info(UNREACHABLE), info("127.0.0.3")])).close()

    assert asyncio.get_running_loop().time() - started > happy_eyeballs.STAGGER * 0.9
    assert network.outcomes[UNREACHABLE].cancelled()


async def test_a_real_silent_address_delays_the_next_one_briefly(
    server: socket.socket,
) -> None:
    with full_backlog() as silent_address:
        infos = [info(*silent_address), info("127.0.0.1", server.getsockname()[1])]
        async with asyncio.timeout(10):
            with await connect(infos) as connected:
                assert connected.getpeername() == server.getsockname()


async def test_a_slow_first_address_still_wins_if_it_answers_first(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(happy_eyeballs, "STAGGER", 0.001)
    before = psutil.Process().num_fds()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        race = tasks.create_task(connect([info("127.0.0.2"), info("127.0.0.3")]))
        await until(lambda: len(network.attempted) == 2)
        network.settle("127.0.0.2")

    with race.result() as connected:
        assert connected.fileno() > 0
        assert psutil.Process().num_fds() == before + 1
    assert network.outcomes["127.0.0.3"].cancelled()


async def test_a_failed_attempt_does_not_end_the_attempts_in_progress(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(happy_eyeballs, "STAGGER", 0.001)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        race = tasks.create_task(connect([info("127.0.0.2"), info("127.0.0.3")]))
        await until(lambda: len(network.attempted) == 2)
        network.settle("127.0.0.2", ConnectionRefusedError())
        await until(network.outcomes["127.0.0.2"].done)
        await asyncio.wait([race], timeout=0)
        network.settle("127.0.0.3")

    race.result().close()


async def test_when_two_attempts_succeed_in_one_loop_iteration_one_socket_is_kept(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(happy_eyeballs, "STAGGER", 0.001)
    before = psutil.Process().num_fds()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        race = tasks.create_task(connect([info("127.0.0.2"), info("127.0.0.3")]))
        await until(lambda: len(network.attempted) == 2)
        network.settle("127.0.0.2")
        network.settle("127.0.0.3")

    race.result().close()
    assert psutil.Process().num_fds() == before


async def test_without_an_answer_the_first_error_is_raised(network: FakeNetwork) -> None:
    network.settle("127.0.0.2", OSError(errno.EHOSTUNREACH, "No route to host"))
    network.settle("127.0.0.3", ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
    before = psutil.Process().num_fds()
    with pytest.raises(OSError, match="No route to host"):
        await connect([info("127.0.0.2"), info("127.0.0.3")])

    assert psutil.Process().num_fds() == before


async def test_a_closed_port_is_refused() -> None:
    with pytest.raises(ConnectionRefusedError):
        await connect([info("127.0.0.1", closed_port())])


async def test_a_name_without_addresses_is_an_error() -> None:
    with pytest.raises(OSError, match="no addresses"):
        await connect([])


async def test_a_cancelled_race_leaves_no_descriptor(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(happy_eyeballs, "STAGGER", 0.001)
    before = psutil.Process().num_fds()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        race = tasks.create_task(connect([info("127.0.0.2"), info("127.0.0.3")]))
        await until(lambda: len(network.attempted) == 2)
        race.cancel()

    assert race.cancelled()
    assert psutil.Process().num_fds() == before


async def test_a_race_cancelled_as_it_is_won_leaves_no_descriptor(
    network: FakeNetwork,
) -> None:
    before = psutil.Process().num_fds()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        race = tasks.create_task(connect([info("127.0.0.2")]))
        await until(lambda: network.attempted)
        network.settle("127.0.0.2")
        while not race.done() and psutil.Process().num_fds() > before:
            race.cancel()  # in the iteration in which it is won, and in those around it
            await asyncio.wait([race], timeout=0)

    assert psutil.Process().num_fds() == before
