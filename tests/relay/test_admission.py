"""Admission control with fake connections, random numbers and a fake clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.ssh.fastpath.test_receive_scheduler import FakeLoop
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.relay.admission import (
    MAX_STARTUPS_MESSAGE,
    PENALTY_MESSAGE,
    AdmissionControl,
    AdmissionProtocol,
)
from tunnelkeeper.relay.authorized_keys_store import AuthorizedKeysStore
from tunnelkeeper.relay.config import RelayConfiguration, RelayLimits
from tunnelkeeper.relay.context import RelayContext
from tunnelkeeper.relay.max_startups import MaxStartups
from tunnelkeeper.relay.penalties import Offence
from tunnelkeeper.relay.per_source import NetBlockSize
from tunnelkeeper.ssh.fastpath.receive_scheduler import ReceiveScheduler

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENT = TcpAddress("192.0.2.7", 4711)
NEIGHBOUR = TcpAddress("192.0.2.8", 4711)
LOCAL = (TcpAddress("127.0.0.1", 1), TcpAddress("::1", 1), TcpAddress("::ffff:127.0.0.1", 1))


class FakeConnection:
    def __init__(self, *, has_sent_banner: bool = False) -> None:
        self.has_sent_banner = has_sent_banner
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def make_admission(
    limits: RelayLimits | None = None,
    chance: Callable[[], float] = lambda: 0.0,
    clock: Callable[[], float] = lambda: 100.0,
) -> AdmissionControl:
    configuration = RelayConfiguration(limits=limits or RelayLimits())
    return AdmissionControl(
        RelayContext(configuration, AuthorizedKeysStore("/nowhere")), chance, clock
    )


def with_connections(admission: AdmissionControl, *connections: FakeConnection) -> AdmissionControl:
    for connection in connections:
        admission.add(connection, CLIENT)
    return admission


def test_connections_below_the_threshold_are_admitted() -> None:
    admission = with_connections(
        make_admission(), *(FakeConnection(has_sent_banner=True) for _ in range(9))
    )

    assert admission.check(CLIENT) is None


def test_connections_from_the_threshold_on_are_dropped_at_random() -> None:
    for chance, message in ((0.29, MAX_STARTUPS_MESSAGE), (0.31, None)):
        admission = make_admission(chance=lambda chance=chance: chance)  # type: ignore[misc]
        with_connections(admission, *(FakeConnection(has_sent_banner=True) for _ in range(10)))
        assert admission.check(CLIENT) == message


def test_the_oldest_connection_without_a_banner_is_closed_to_make_room() -> None:
    with_banner = [FakeConnection(has_sent_banner=True) for _ in range(10)]
    without_banner = [FakeConnection(), FakeConnection()]
    admission = with_connections(
        make_admission(), with_banner[0], *without_banner, *with_banner[1:]
    )

    assert admission.check(CLIENT) is None
    assert [connection.is_closed for connection in without_banner] == [True, False]
    assert not any(connection.is_closed for connection in with_banner)
    assert admission.waiting == 11


def hold(admission: AdmissionControl, host: str, count: int, **state: bool) -> list[FakeConnection]:
    connections = [FakeConnection(**state) for _ in range(count)]
    for connection in connections:
        admission.add(connection, TcpAddress(host, 4711))
    return connections


def closed(connections: list[FakeConnection]) -> list[int]:
    return [number for number, each in enumerate(connections) if each.is_closed]


def test_the_client_with_the_most_connections_loses_one_to_another_client() -> None:
    admission = make_admission()
    attacker = hold(admission, "198.51.100.1", 99, has_sent_banner=True)
    other = hold(admission, "198.51.100.2", 1, has_sent_banner=True)

    for _ in range(40):
        assert admission.check(CLIENT) is None
        hold(admission, CLIENT.host, 1)
    assert closed(attacker) == list(range(40))
    assert not closed(other)


def test_the_client_with_the_most_connections_is_refused_more() -> None:
    admission = make_admission()
    hold(admission, "198.51.100.1", 10, has_sent_banner=True)
    honest = hold(admission, CLIENT.host, 1)

    assert admission.check(TcpAddress("198.51.100.1", 1)) == MAX_STARTUPS_MESSAGE
    assert not closed(honest)


def test_a_flood_of_silent_connections_closes_only_its_own() -> None:
    admission = make_admission()
    honest = hold(admission, CLIENT.host, 1)
    hold(admission, "198.51.100.1", 12)

    for _ in range(100):
        assert admission.check(TcpAddress("198.51.100.1", 1)) is None
        hold(admission, "198.51.100.1", 1)
    assert not closed(honest)


def test_the_addresses_of_one_ipv6_network_are_one_client() -> None:
    admission = make_admission()
    attacker = [
        hold(admission, f"2001:db8::{number:x}", 1, has_sent_banner=True) for number in range(20)
    ]

    assert admission.check(CLIENT) is None
    assert [bool(closed(each)) for each in attacker] == [True] + [False] * 19


def test_a_client_that_has_begun_its_login_is_not_replaced_by_an_equal_one() -> None:
    admission = make_admission()
    for number in range(20):
        hold(admission, f"198.51.100.{number}", 1, has_sent_banner=True)

    assert admission.check(CLIENT) == MAX_STARTUPS_MESSAGE


@pytest.mark.parametrize(
    ("block_size", "source", "is_refused"),
    [
        ("32:128", "192.0.2.7", True),
        ("32:128", "192.0.2.8", False),
        ("24", "192.0.2.8", True),
        ("24:64", "::ffff:192.0.2.8", True),
        ("24:64", "192.0.3.8", False),
        ("32:128", "2001:db8::1", False),
    ],
)
def test_the_connections_of_one_source_are_limited(
    block_size: str, source: str, is_refused: bool
) -> None:
    limits = RelayLimits(
        per_source_max_startups=2, per_source_net_block_size=NetBlockSize.parse(block_size)
    )
    admission = make_admission(limits)
    hold(admission, CLIENT.host, 2)

    message = admission.check(TcpAddress(source, 1))

    assert message == (MAX_STARTUPS_MESSAGE if is_refused else None)


def test_an_authenticated_connection_is_not_counted() -> None:
    connections = [FakeConnection(has_sent_banner=True) for _ in range(10)]
    admission = with_connections(make_admission(), *connections)
    admission.discard(connections[3])
    admission.discard(connections[3])

    assert admission.waiting == 9
    assert admission.check(CLIENT) is None


def test_without_a_limit_every_connection_is_admitted() -> None:
    admission = make_admission(RelayLimits(max_startups=MaxStartups(0, 100, 0)))
    with_connections(admission, *(FakeConnection(has_sent_banner=True) for _ in range(1000)))

    assert admission.check(CLIENT) is None


def test_an_address_with_penalties_is_refused_until_they_expire() -> None:
    now = [100.0]
    admission = make_admission(clock=lambda: now[0])
    for _ in range(4):
        assert admission.check(CLIENT) is None
        admission.penalize(CLIENT, Offence.AUTHFAIL)

    assert admission.check(CLIENT) == PENALTY_MESSAGE
    assert admission.check(NEIGHBOUR) is None
    now[0] += 21
    assert admission.check(CLIENT) is None


@pytest.mark.parametrize("address", LOCAL, ids=str)
def test_loopback_is_never_penalized(address: TcpAddress) -> None:
    admission = make_admission()
    for _ in range(100):
        admission.penalize(address, Offence.CRASH)

    assert admission.check(address) is None


def test_with_penalties_disabled_no_address_is_refused() -> None:
    admission = make_admission(RelayLimits(penalties=False))
    for _ in range(100):
        admission.penalize(CLIENT, Offence.CRASH)

    assert admission.check(CLIENT) is None


class FakeTransport(asyncio.Transport):
    """A transport that stores written data."""

    def __init__(self, peer: tuple[str, int] | None) -> None:
        super().__init__({"peername": peer})
        self.written = b""
        self.is_closed = self.is_aborted = False
        self.has_reader = True
        self.protocol: asyncio.BaseProtocol | None = None

    def pause_reading(self) -> None:
        self.has_reader = False

    def resume_reading(self) -> None:
        self.has_reader = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


def protocol(
    admission: AdmissionControl,
    create_transport: Callable[[TcpAddress], asyncio.Protocol],
    loop: Any = None,
) -> AdmissionProtocol:
    loop = loop or FakeLoop()
    return AdmissionProtocol(admission, create_transport, ReceiveScheduler(loop, lambda: 0.0))


def test_a_refused_connection_gets_a_reason_and_no_handshake() -> None:
    admission, transport = make_admission(), FakeTransport(("192.0.2.7", 4711))
    for _ in range(4):
        admission.penalize(CLIENT, Offence.AUTHFAIL)

    protocol(admission, lambda _: pytest.fail("the connection was admitted")).connection_made(
        transport
    )

    assert (transport.written, transport.is_closed) == (PENALTY_MESSAGE, True)
    assert transport.protocol is None


def test_an_admitted_connection_is_handed_to_another_protocol() -> None:
    admitted: list[TcpAddress] = []
    ssh_protocol = asyncio.Protocol()

    def admit(address: TcpAddress) -> asyncio.Protocol:
        admitted.append(address)
        return ssh_protocol

    transport, loop = FakeTransport(("192.0.2.7", 4711)), FakeLoop()
    protocol(make_admission(), admit, loop).connection_made(transport)

    assert (admitted, transport.has_reader) == ([], False)
    loop.turn()
    assert (admitted, transport.protocol) == ([CLIENT], ssh_protocol)
    assert transport.has_reader


def test_a_connection_that_is_replaced_before_its_turn_gets_no_transport() -> None:
    admission, transport, loop = make_admission(), FakeTransport(("192.0.2.7", 4711)), FakeLoop()
    protocol(admission, lambda _: pytest.fail("it got one"), loop).connection_made(transport)
    assert admission.waiting == 1

    admission.close_all()
    loop.turn()

    assert transport.is_aborted
    assert admission.waiting == 0


def test_a_connection_that_is_already_closed_is_aborted() -> None:
    transport = FakeTransport(None)

    protocol(
        make_admission(), lambda _: pytest.fail("the connection was admitted")
    ).connection_made(transport)

    assert transport.is_aborted
