"""Who is let in as far as a handshake: a door with strangers, chances and a clock of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.relay.admission import CROWDED, SHUT_OUT, AdmissionControl, AdmissionProtocol
from tunnelkeeper.relay.authorized_keys_store import AuthorizedKeysStore
from tunnelkeeper.relay.config import RelayConfiguration, RelayLimits
from tunnelkeeper.relay.context import RelayContext
from tunnelkeeper.relay.max_startups import MaxStartups
from tunnelkeeper.relay.penalties import Offence

if TYPE_CHECKING:
    from collections.abc import Callable

VISITOR = TcpAddress("192.0.2.7", 4711)
NEIGHBOUR = TcpAddress("192.0.2.8", 4711)
LOCAL = (TcpAddress("127.0.0.1", 1), TcpAddress("::1", 1), TcpAddress("::ffff:127.0.0.1", 1))


class Stranger:
    def __init__(self, *, has_spoken: bool = False) -> None:
        self.has_spoken = has_spoken
        self.is_out = False

    def close(self) -> None:
        self.is_out = True


def a_door(
    limits: RelayLimits | None = None,
    chance: Callable[[], float] = lambda: 0.0,
    clock: Callable[[], float] = lambda: 100.0,
) -> AdmissionControl:
    configuration = RelayConfiguration(limits=limits or RelayLimits())
    return AdmissionControl(
        RelayContext(configuration, AuthorizedKeysStore("/nowhere")), chance, clock
    )


def with_strangers(door: AdmissionControl, *strangers: Stranger) -> AdmissionControl:
    for stranger in strangers:
        door.enter(stranger)
    return door


def test_below_the_threshold_everybody_comes_in() -> None:
    door = with_strangers(a_door(), *(Stranger(has_spoken=True) for _ in range(9)))

    assert door.check(VISITOR) is None


def test_from_the_threshold_on_chance_decides() -> None:
    for chance, words in ((0.29, CROWDED), (0.31, None)):
        door = a_door(chance=lambda chance=chance: chance)  # type: ignore[misc]
        with_strangers(door, *(Stranger(has_spoken=True) for _ in range(10)))
        assert door.check(VISITOR) == words


def test_the_oldest_silent_stranger_makes_room() -> None:
    spoken = [Stranger(has_spoken=True) for _ in range(10)]
    silent = [Stranger(), Stranger()]
    door = with_strangers(a_door(), spoken[0], *silent, *spoken[1:])

    assert door.check(VISITOR) is None
    assert [one.is_out for one in silent] == [True, False]
    assert not any(one.is_out for one in spoken)
    assert door.waiting == 11


def test_who_has_logged_in_is_no_stranger() -> None:
    strangers = [Stranger(has_spoken=True) for _ in range(10)]
    door = with_strangers(a_door(), *strangers)
    door.leave(strangers[3])
    door.leave(strangers[3])

    assert door.waiting == 9
    assert door.check(VISITOR) is None


def test_without_a_limit_any_number_waits() -> None:
    door = a_door(RelayLimits(max_startups=MaxStartups(0, 100, 0)))
    with_strangers(door, *(Stranger(has_spoken=True) for _ in range(1000)))

    assert door.check(VISITOR) is None


def test_an_address_that_did_too_much_wrong_is_shut_out_for_a_while() -> None:
    now = [100.0]
    door = a_door(clock=lambda: now[0])
    for _ in range(4):
        assert door.check(VISITOR) is None
        door.penalize(VISITOR, Offence.AUTHFAIL)

    assert door.check(VISITOR) == SHUT_OUT
    assert door.check(NEIGHBOUR) is None
    now[0] += 21
    assert door.check(VISITOR) is None


@pytest.mark.parametrize("address", LOCAL, ids=str)
def test_this_machine_is_never_shut_out(address: TcpAddress) -> None:
    door = a_door()
    for _ in range(100):
        door.penalize(address, Offence.CRASH)

    assert door.check(address) is None


def test_without_penalties_nobody_is_shut_out() -> None:
    door = a_door(RelayLimits(penalties=False))
    for _ in range(100):
        door.penalize(VISITOR, Offence.CRASH)

    assert door.check(VISITOR) is None


class FakeTransport(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self, peer: tuple[str, int] | None) -> None:
        super().__init__({"peername": peer})
        self.written = b""
        self.is_closed = self.is_aborted = False
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


def test_who_is_turned_away_hears_why_and_meets_no_ssh() -> None:
    door, transport = a_door(), FakeTransport(("192.0.2.7", 4711))
    for _ in range(4):
        door.penalize(VISITOR, Offence.AUTHFAIL)

    AdmissionProtocol(door, lambda _: pytest.fail("it was let in")).connection_made(transport)

    assert (transport.written, transport.is_closed) == (SHUT_OUT, True)
    assert transport.protocol is None


def test_who_is_let_in_is_served_by_another_protocol() -> None:
    admitted: list[TcpAddress] = []
    protocol = asyncio.Protocol()

    def admit(address: TcpAddress) -> asyncio.Protocol:
        admitted.append(address)
        return protocol

    transport = FakeTransport(("192.0.2.7", 4711))
    AdmissionProtocol(a_door(), admit).connection_made(transport)

    assert (admitted, transport.protocol) == ([VISITOR], protocol)


def test_who_is_gone_before_it_was_looked_at_is_dropped() -> None:
    transport = FakeTransport(None)

    AdmissionProtocol(a_door(), lambda _: pytest.fail("it was let in")).connection_made(transport)

    assert transport.is_aborted
