"""Bindings, takeover, and names."""

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

TARGETS: tuple[BindTarget, ...] = (
    TcpAddress("localhost", 2222),
    Name("home", 22),
    UnixAddress("/run/relay/a.sock"),
)


class FakeOwner:
    """A client that listens and is never reached."""

    def __init__(self, identity: str) -> None:
        self.identity = (identity, b"key")

    async def open_channel(self, *_: object) -> ChannelEndpoint:
        raise AssertionError("no client connects")

    def probe_liveness(self) -> None:
        raise AssertionError("the registry probes no client")


class FakeListener(Listener):
    """A listener that records its close."""

    def __init__(self) -> None:
        super().__init__([])
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def make_binding(target: BindTarget, identity: str | FakeOwner = "ann") -> Binding:
    owner = identity if isinstance(identity, FakeOwner) else FakeOwner(identity)
    return Binding(target, owner, "", 0, "2026-11-22T12:00:00Z")


each_target = pytest.mark.parametrize("target", TARGETS, ids=str)


@each_target
def test_a_target_stays_bound_until_it_is_released(target: BindTarget) -> None:
    registry, binding = Registry(), make_binding(target)

    assert registry.claim(binding) == []
    assert registry.of(binding.owner) == [binding]
    registry.release(binding)
    registry.release(binding)
    assert registry.of(binding.owner) == []
    assert registry.claim(make_binding(target, "bob")) == []


@each_target
def test_a_newer_connection_of_the_owner_takes_over_and_the_older_listener_closes(
    target: BindTarget,
) -> None:
    registry, older, newer = Registry(), make_binding(target), make_binding(target)
    older.listener = listener = FakeListener()
    registry.claim(older)

    assert registry.claim(newer) == [older]
    assert listener.is_closed
    assert older.is_released
    assert registry.of(older.owner) == []
    assert registry.of(newer.owner) == [newer]


@each_target
def test_another_owner_cannot_take_over_a_binding(target: BindTarget) -> None:
    registry, binding = Registry(), make_binding(target)
    registry.claim(binding)
    second = make_binding(target, "bob")

    with pytest.raises(AlreadyBoundError):
        registry.claim(second)
    assert registry.of(binding.owner) == [binding]
    assert registry.of(second.owner) == []
    assert not binding.is_released


def test_a_client_does_not_take_over_its_own_binding() -> None:
    registry, owner = Registry(), FakeOwner("ann")
    registry.claim(make_binding(TARGETS[0], owner))

    with pytest.raises(AlreadyBoundError):
        registry.claim(make_binding(TARGETS[0], owner))


def test_a_target_that_overlaps_another_owners_binding_is_refused_entirely() -> None:
    registry = Registry()
    own_binding = make_binding(TcpAddress("192.0.2.1", 80), "ann")
    registry.claim(own_binding)
    registry.claim(make_binding(TcpAddress("192.0.2.2", 80), "bob"))

    with pytest.raises(AlreadyBoundError):
        registry.claim(make_binding(TcpAddress("*", 80), "ann"))
    assert not own_binding.is_released


def test_a_binding_is_found_by_name_and_port() -> None:
    registry, binding = Registry(), make_binding(Name("home", 22))
    registry.claim(binding)

    assert registry.named("home", 22) is binding
    assert registry.named("home", 23) is None
    assert registry.named("away", 22) is None


def test_targets_of_different_kinds_never_conflict() -> None:
    for first, second in product(TARGETS, TARGETS):
        registry = Registry()
        registry.claim(make_binding(first))
        assert bool(registry.claim(make_binding(second))) == (first is second)


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
        "xn--bcher-kva",
        "home\n",
        "ho me",
        "hö",
        "\N{KELVIN SIGN}iosk",
        "a" * 64,
        "/run/x.sock",
        "\0",
    ],
)
def test_other_hosts_are_not_names(host: str) -> None:
    assert listen_name(host) is None


@given(st.text())
def test_a_listen_name_is_unchanged_by_a_second_call(host: str) -> None:
    name = listen_name(host)

    assert name is None or listen_name(name) == name


@given(st.from_regex(r"[0-9a-fA-FxX.]{1,12}", fullmatch=True))
def test_text_that_a_resolver_reads_as_an_address_is_not_a_name(host: str) -> None:
    try:
        socket.inet_aton(host)
    except OSError:
        return
    assert listen_name(host) is None
