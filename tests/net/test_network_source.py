"""The network of a machine as its system shows it, and what is done where it shows less."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import psutil
import pytest

from tests.e2e.netns import Machine, new_network
from tests.fake_clock import FakeClock, settled
from tunnelkeeper.core.network_changes import Network
from tunnelkeeper.net import network_source as module
from tunnelkeeper.net.network_source import (
    AddressPoller,
    NetlinkSource,
    network_from,
    open_network_source,
)
from tunnelkeeper.net.rtnetlink import Address, Route

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 30.0
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="netlink is Linux's")


class _Link(NamedTuple):
    isup: bool


class _Address(NamedTuple):
    family: int
    address: str


# -- netlink, on a machine of the test's own -------------------------------------------------------


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine with the address 10.77.2.2 on `uplink`, and a route to 10.77.0.1; we are on it."""
    with new_network() as network, network.box.entered():
        yield network.box


async def dumped(source: NetlinkSource) -> None:
    async with asyncio.timeout(DEADLINE):
        await source.wait_for_change()


@on_linux
def test_addresses_and_routes_are_seen(machine: Machine) -> None:
    with closing(NetlinkSource()) as source:
        network = source.read()

    assert network == Network(
        frozenset({"10.77.2.2"}), frozenset({"10.77.0.1/32 via 10.77.2.1 dev uplink"})
    )
    assert {"127.0.0.1", "10.77.2.2"} <= network.all_addresses


@on_linux
def test_a_change_is_told_and_seen(machine: Machine) -> None:
    async def scenario() -> None:
        source = NetlinkSource()
        before = source.read()

        machine.ip("address", "add", "10.77.9.9/24", "dev", "uplink")
        await dumped(source)
        assert source.read().addresses - before.addresses == {"10.77.9.9"}

        machine.ip("route", "add", "default", "via", "10.77.9.1", "metric", "50")
        await dumped(source)
        routes = source.read().routes
        assert routes is not None
        assert "default via 10.77.9.1 dev uplink metric 50" in routes

        machine.ip("route", "del", "default")
        machine.ip("address", "del", "10.77.9.9/24", "dev", "uplink")
        await dumped(source)
        assert source.read() == before

        machine.ip("-6", "address", "add", "fd77::2/64", "dev", "uplink", "nodad")
        machine.ip("-6", "route", "add", "default", "via", "fd77::1")
        await dumped(source)
        now = source.read()
        assert now.addresses - before.addresses == {"fd77::2"}
        assert (now.routes or set()) - (before.routes or set()) == {
            "default (IPv6) via fd77::1 dev uplink metric 1024"
        }
        source.close()

    asyncio.run(scenario())


@on_linux
def test_a_link_that_is_taken_down_leads_nowhere(machine: Machine) -> None:
    async def scenario() -> None:
        source = NetlinkSource()

        machine.ip("link", "set", "uplink", "down")
        await dumped(source)

        assert source.read() == Network(frozenset(), frozenset())
        source.close()

    asyncio.run(scenario())


@on_linux
def test_what_a_container_does_is_told_but_changes_nothing(machine: Machine) -> None:
    async def scenario() -> None:
        source = NetlinkSource()
        before = source.read()

        machine.ip("link", "add", "veth1", "type", "veth", "peer", "name", "veth2")
        machine.ip("link", "set", "veth1", "up")
        machine.ip("link", "set", "veth2", "up")
        await dumped(source)
        assert source.read() == before

        machine.ip("link", "delete", "veth1")
        await dumped(source)
        assert source.read() == before
        source.close()

    asyncio.run(scenario())


@on_linux
def test_more_news_than_were_taken_are_news_too(machine: Machine) -> None:
    async def scenario() -> None:
        source = NetlinkSource()
        source._changes.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for number in range(2, 60):
            machine.ip("address", "add", f"10.77.9.{number}/24", "dev", "uplink")
        await dumped(source)

        assert len(source.read().addresses) == 59
        machine.ip("address", "flush", "dev", "uplink")
        await dumped(source)
        assert source.read().addresses == frozenset()
        source.close()

    asyncio.run(scenario())


# -- where it is not allowed -----------------------------------------------------------------------


def no_netlink(*_: object) -> socket.socket:
    raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")


@on_linux
def test_without_netlink_addresses_are_polled_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_netlink_socket", no_netlink)

    source, limitation = open_network_source(FakeClock())

    assert isinstance(source, AddressPoller)
    assert limitation == (
        "netlink is not allowed here (Address family not supported by protocol): changes of the "
        "network are looked for every 10 s"
    )


def test_where_nothing_may_be_asked_that_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_netlink_socket", no_netlink)
    monkeypatch.setattr(psutil, "net_if_addrs", no_netlink)

    with pytest.raises(OSError, match="not supported"):
        open_network_source(FakeClock())


def test_a_system_without_netlink_lacks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    source, limitation = open_network_source(FakeClock())

    assert isinstance(source, AddressPoller)
    assert not limitation


# -- the poll --------------------------------------------------------------------------------------


def test_a_poll_sees_the_addresses_of_links_that_are_up(monkeypatch: pytest.MonkeyPatch) -> None:
    links = {
        "lo0": [_Address(socket.AF_INET, "127.0.0.1"), _Address(socket.AF_INET6, "::1")],
        "en0": [
            _Address(psutil.AF_LINK, "02:00:00:00:00:01"),
            _Address(socket.AF_INET, "192.0.2.2"),
            _Address(socket.AF_INET6, "fe80::1%en0"),
            _Address(socket.AF_INET6, "2001:db8::2"),
        ],
        "en1": [_Address(socket.AF_INET, "192.0.2.77")],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: links)
    up = {"lo0": _Link(True), "en0": _Link(True), "en1": _Link(False)}
    monkeypatch.setattr(psutil, "net_if_stats", lambda: up)

    network = AddressPoller(FakeClock()).read()

    assert network == Network(frozenset({"192.0.2.2", "2001:db8::2"}), None)
    assert network.all_addresses == {
        "127.0.0.1",
        "::1",
        "192.0.2.2",
        "fe80::1",
        "2001:db8::2",
        "192.0.2.77",
    }


async def test_a_poll_looks_now_and_then() -> None:
    clock = FakeClock()
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(AddressPoller(clock).wait_for_change())
        await clock.passes(module.POLL_INTERVAL - 1)
        assert not looking.done()

        await clock.passes(1)
        await settled()

        assert looking.done()


# -- the picture -----------------------------------------------------------------------------------


def test_an_address_whose_link_leads_nowhere_does_not_count() -> None:
    addresses = [Address("192.0.2.2", 1, is_lasting=True), Address("10.0.0.1", 2, is_lasting=True)]
    routes = [Route("192.0.2.0/24", ((1, ""),), is_kernel_made=True)]

    network = network_from(addresses, routes)

    assert network == Network(frozenset({"192.0.2.2"}), frozenset())
    assert network.all_addresses == {"192.0.2.2", "10.0.0.1"}


def test_of_a_router_with_too_many_routes_only_the_addresses_count() -> None:
    routes = [
        Route(f"10.{n >> 8}.{n & 255}.0/24", ((1, ""),), is_kernel_made=False)
        for n in range(module.MAX_ROUTES + 1)
    ]
    network = network_from([Address("192.0.2.2", 2, is_lasting=True)], routes)

    assert network == Network(frozenset({"192.0.2.2"}), None)
