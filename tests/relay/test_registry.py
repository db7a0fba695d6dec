"""Who holds which place, and who may take it from whom."""

from __future__ import annotations

import socket
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress
from tunnelkeeper.net.listener import Listener
from tunnelkeeper.relay.registry import (
    AlreadyBoundError,
    Binding,
    BindTarget,
    Name,
    Registry,
    listen_name,
)

if TYPE_CHECKING:
    from tunnelkeeper.forwarding.pump import ChannelEndpoint

PLACES: tuple[BindTarget, ...] = (
    TcpAddress("localhost", 2222),
    Name("home", 22),
    UnixAddress("/run/relay/a.sock"),
)


class FakeHolder:
    """A client that listens and is never reached."""

    def __init__(self, owner: str) -> None:
        self.owner = (owner, b"key")

    async def reach(self, *_: object) -> ChannelEndpoint:
        raise AssertionError("nobody comes")

    def challenge(self) -> None:
        raise AssertionError("the registry challenges nobody")


class FakeListener(Listener):
    """Notes that it was closed."""

    def __init__(self) -> None:
        super().__init__([])
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def a_holding(place: BindTarget, owner: str | FakeHolder = "ann") -> Binding:
    holder = owner if isinstance(owner, FakeHolder) else FakeHolder(owner)
    return Binding(place, holder, "", 0, "2026-11-22T12:00:00Z")


each_place = pytest.mark.parametrize("place", PLACES, ids=str)


@each_place
def test_a_place_is_held_until_it_is_released(place: BindTarget) -> None:
    registry, holding = Registry(), a_holding(place)

    assert registry.claim(holding) == []
    assert registry.of(holding.holder) == [holding]
    registry.release(holding)
    registry.release(holding)
    assert registry.of(holding.holder) == []
    assert registry.claim(a_holding(place, "bob")) == []


@each_place
def test_the_owners_newer_connection_gets_the_place_and_the_older_ones_sockets_close(
    place: BindTarget,
) -> None:
    registry, older, newer = Registry(), a_holding(place), a_holding(place)
    older.listener = listener = FakeListener()
    registry.claim(older)

    assert registry.claim(newer) == [older]
    assert listener.is_closed
    assert older.is_over
    assert registry.of(older.holder) == []
    assert registry.of(newer.holder) == [newer]


@each_place
def test_another_owner_gets_nothing_and_nothing_changes(place: BindTarget) -> None:
    registry, holding = Registry(), a_holding(place)
    registry.claim(holding)
    other = a_holding(place, "bob")

    with pytest.raises(AlreadyBoundError):
        registry.claim(other)
    assert registry.of(holding.holder) == [holding]
    assert registry.of(other.holder) == []
    assert not holding.is_over


def test_a_client_does_not_take_a_place_from_itself() -> None:
    registry, holder = Registry(), FakeHolder("ann")
    registry.claim(a_holding(PLACES[0], holder))

    with pytest.raises(AlreadyBoundError):
        registry.claim(a_holding(PLACES[0], holder))


def test_a_place_that_overlaps_a_strangers_is_not_taken_even_if_one_is_our_own() -> None:
    registry = Registry()
    mine = a_holding(TcpAddress("192.0.2.1", 80), "ann")
    registry.claim(mine)
    registry.claim(a_holding(TcpAddress("192.0.2.2", 80), "bob"))

    with pytest.raises(AlreadyBoundError):
        registry.claim(a_holding(TcpAddress("*", 80), "ann"))
    assert not mine.is_over


def test_the_holder_of_a_name_is_found_by_name_and_port() -> None:
    registry, holding = Registry(), a_holding(Name("home", 22))
    registry.claim(holding)

    assert registry.named("home", 22) is holding
    assert registry.named("home", 23) is None
    assert registry.named("away", 22) is None


def test_places_of_different_kinds_never_overlap() -> None:
    for one, other in product(PLACES, PLACES):
        registry = Registry()
        registry.claim(a_holding(one))
        assert bool(registry.claim(a_holding(other))) == (one is other)


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("home", "home"),
        ("Home", "home"),
        ("box-7", "box-7"),
        ("7eleven", "7eleven"),
        ("a", "a"),
        ("a" * 63, "a" * 63),
        ("my_box", "my_box"),
        ("0xylophone", "0xylophone"),
        ("xn--bcher-kva", "xn--bcher-kva"),
    ],
)
def test_a_single_label_is_a_name(host: str, name: str) -> None:
    assert listen_name(host) == name


@pytest.mark.parametrize(
    "host",
    [
        "",
        "*",
        "localhost",
        "LocalHost",
        "ip6-localhost",
        "ip6-loopback",
        "127.0.0.1",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "fe80::1%eth0",
        "2130706433",
        "0177",
        "0x7f000001",
        "0X7F000001",
        "0x",
        "db.example.com",
        "home.",
        "-home",
        "home-",
        "_gateway",
        "home\n",
        "ho me",
        "hö",
        "\N{KELVIN SIGN}iosk",
        "a" * 64,
        "/run/x.sock",
        "\0",
    ],
)
def test_anything_else_is_not(host: str) -> None:
    assert listen_name(host) is None


@given(st.text())
def test_any_text_is_a_name_that_stays_itself_or_none(host: str) -> None:
    name = listen_name(host)

    assert name is None or listen_name(name) == name


@given(st.from_regex(r"[0-9a-fA-FxX.]{1,12}", fullmatch=True))
def test_what_a_resolver_takes_for_an_address_is_no_name(host: str) -> None:
    try:
        socket.inet_aton(host)
    except OSError:
        return
    assert listen_name(host) is None
