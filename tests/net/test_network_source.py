"""The network as netlink shows it, and the poll for systems without netlink."""

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
from tests.fake_clock import FakeClock, settle
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
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="netlink requires Linux")


class _Link(NamedTuple):
    isup: bool


class _Address(NamedTuple):
    family: int
    address: str


# -- netlink, in a network namespace ---------------------------------------------------------------


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Enter a machine with the address 10.77.2.2 on `uplink` and a route to 10.77.0.1."""
    with new_network() as network, network.box.entered():
        yield network.box


async def wait_for_change(source: NetlinkSource) -> None:
    async with asyncio.timeout(DEADLINE):
        await source.wait_for_change()


@on_linux
def test_addresses_and_routes_are_read(machine: Machine) -> None:
    with closing(NetlinkSource()) as source:
        network = source.read()

    assert network.addresses == {"10.77.2.2"}
    assert network.routes == frozenset({"10.77.0.1/32 via 10.77.2.1 dev uplink"})
    assert network.policies == {
        "rule 0: from all lookup local",
        "rule 32766: from all lookup main",
        "rule 32767: from all lookup default",
        "rule (IPv6) 0: from all lookup local",
        "rule (IPv6) 32766: from all lookup main",
    }
    assert {"127.0.0.1", "10.77.2.2"} <= network.all_addresses


@on_linux
def test_a_change_is_notified_and_read(machine: Machine) -> None:
    async def scenario() -> None:
        source = NetlinkSource()
        before = source.read()

        machine.ip("address", "add", "10.77.9.9/24", "dev", "uplink")
        await wait_for_change(source)
        assert source.read().addresses - before.addresses == {"10.77.9.9"}

        machine.ip("route", "add", "default", "via", "10.77.9.1", "metric", "50")
        await wait_for_change(source)
        routes = source.read().routes
        assert routes is not None
        assert "default via 10.77.9.1 dev uplink metric 50" in routes

        machine.ip("route", "del", "default")
        machine.ip("address", "del", "10.77.9.9/24", "dev", "uplink")
        await wait_for_change(source)
        assert source.read() == before

        machine.ip("-6", "address", "add", "fd77::2/64", "dev", "uplink", "nodad")
        machine.ip("-6", "route", "add", "default", "via", "fd77::1")
        await wait_for_change(source)
        now = source.read()
        assert now.addresses - before.addresses == {"fd77::2"}
        assert (now.routes or set()) - (before.routes or set()) == {
            "default (IPv6) via fd77::1 dev uplink metric 1024"
        }
        source.close()

    asyncio.run(scenario())


POLICIES = [
    ("route add unreachable 10.7.0.1", "unreachable 10.7.0.1/32"),
    ("route add blackhole 10.7.0.0/24 metric 5", "blackhole 10.7.0.0/24 metric 5"),
    ("route add prohibit default metric 9", "prohibit default metric 9"),
    ("route add throw 10.7.0.3 table 100", "throw 10.7.0.3/32 table 100"),
    ("route add local 10.44.0.0/16 dev lo", "local 10.44.0.0/16 dev lo table 255"),
    ("-6 route add unreachable fd07::/16", "unreachable fd07::/16 dev lo metric 1024"),
    ("rule add to 10.8.0.0/24 table 100", "rule 32765: from all to 10.8.0.0/24 lookup 100"),
    ("rule add priority 7 from 10.8.0.1 prohibit", "rule 7: from 10.8.0.1/32 prohibit"),
    (
        "rule add not fwmark 0x5 table 7",
        "rule 32765: not from all fwmark 0x5 fwmask 0xffffffff lookup 7",
    ),
    ("rule add priority 8 goto 32766", "rule 8: from all goto 32766"),
    (
        "rule add priority 9 iif lo oif uplink blackhole",
        "rule 9: from all iif lo oif uplink blackhole",
    ),
    ("rule add priority 9 uidrange 0-99 lookup 7", "rule 9: from all uidrange 0-99 lookup 7"),
    (
        "rule add priority 9 ipproto tcp dport 22 unreachable",
        "rule 9: from all ipproto 6 dport 22-22 unreachable",
    ),
    (
        "rule add priority 9 table main suppress_prefixlength 0",
        "rule 9: from all suppress_prefixlength 0 lookup main",
    ),
    ("-6 rule add priority 9 to fd00::/8 table 7", "rule (IPv6) 9: from all to fd00::/8 lookup 7"),
]


@on_linux
@pytest.mark.parametrize(("command", "policy"), POLICIES, ids=[command for command, _ in POLICIES])
def test_a_rule_or_a_route_of_any_type_is_a_change_when_added_and_when_deleted(
    machine: Machine, command: str, policy: str
) -> None:
    async def scenario() -> None:
        source = NetlinkSource()
        before = source.read()

        machine.ip(*command.split())
        await wait_for_change(source)
        assert source.read().policies - before.policies == {policy}
        assert source.read().routes == before.routes

        machine.ip(*command.replace(" add ", " del ").split())
        await wait_for_change(source)
        assert source.read() == before
        source.close()

    asyncio.run(scenario())


@on_linux
def test_the_next_hop_object_of_a_route_is_a_change_when_replaced(machine: Machine) -> None:
    async def scenario() -> None:
        source = NetlinkSource()
        machine.ip("nexthop", "add", "id", "5", "via", "10.77.2.1", "dev", "uplink")
        machine.ip("route", "add", "10.9.0.0/24", "nhid", "5")
        before = source.read()

        machine.ip("nexthop", "replace", "id", "5", "via", "10.77.2.7", "dev", "uplink")
        await wait_for_change(source)

        assert (source.read().routes or set()) - (before.routes or set()) == {
            "10.9.0.0/24 via 10.77.2.7 dev uplink"
        }
        source.close()

    asyncio.run(scenario())


@on_linux
def test_the_addresses_and_routes_of_a_link_that_is_down_do_not_count(machine: Machine) -> None:
    async def scenario() -> None:
        source = NetlinkSource()

        machine.ip("link", "set", "uplink", "down")
        await wait_for_change(source)

        network = source.read()
        assert (network.addresses, network.routes) == (frozenset(), frozenset())
        source.close()

    asyncio.run(scenario())


@on_linux
def test_links_of_a_container_are_notified_but_are_no_change(machine: Machine) -> None:
    async def scenario() -> None:
        source = NetlinkSource()
        before = source.read()

        machine.ip("link", "add", "veth1", "type", "veth", "peer", "name", "veth2")
        machine.ip("link", "set", "veth1", "up")
        machine.ip("link", "set", "veth2", "up")
        await wait_for_change(source)
        assert source.read() == before

        machine.ip("link", "delete", "veth1")
        await wait_for_change(source)
        assert source.read() == before
        source.close()

    asyncio.run(scenario())


@on_linux
def test_an_overflow_of_the_receive_buffer_counts_as_a_change(machine: Machine) -> None:
    async def scenario() -> None:
        source = NetlinkSource()
        source._changes.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for number in range(2, 60):
            machine.ip("address", "add", f"10.77.9.{number}/24", "dev", "uplink")
        await wait_for_change(source)

        assert len(source.read().addresses) == 59
        machine.ip("address", "flush", "dev", "uplink")
        await wait_for_change(source)
        assert source.read().addresses == frozenset()
        source.close()

    asyncio.run(scenario())


# -- without netlink -------------------------------------------------------------------------------


def no_netlink(*_: object) -> socket.socket:
    raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")


@on_linux
def test_without_netlink_addresses_are_polled_and_the_log_message_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_netlink_socket", no_netlink)

    source, limitation = open_network_source(FakeClock())

    assert isinstance(source, AddressPoller)
    assert limitation == (
        "netlink is not allowed here (Address family not supported by protocol): the "
        "network is polled every 10 s"
    )


def test_without_any_source_opening_raises_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_netlink_socket", no_netlink)
    monkeypatch.setattr(psutil, "net_if_addrs", no_netlink)

    with pytest.raises(OSError, match="not supported"):
        open_network_source(FakeClock())


def test_a_system_other_than_linux_has_no_limitation_to_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    source, limitation = open_network_source(FakeClock())

    assert isinstance(source, AddressPoller)
    assert not limitation


# -- the poll --------------------------------------------------------------------------------------


def test_a_poll_reads_the_addresses_of_links_that_are_up(monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_a_poll_waits_for_its_interval() -> None:
    clock = FakeClock()
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(AddressPoller(clock).wait_for_change())
        await clock.advance(module.POLL_INTERVAL - 1)
        assert not waiting.done()

        await clock.advance(1)
        await settle()

        assert waiting.done()


# -- the network from addresses and routes ---------------------------------------------------------


def test_an_address_on_a_link_without_routes_does_not_count() -> None:
    addresses = [Address("192.0.2.2", 1, is_lasting=True), Address("10.0.0.1", 2, is_lasting=True)]
    routes = [Route("192.0.2.0/24", ((1, ""),), is_kernel_made=True)]

    network = network_from(addresses, routes, [])

    assert network == Network(frozenset({"192.0.2.2"}), frozenset())
    assert network.all_addresses == {"192.0.2.2", "10.0.0.1"}


def test_with_too_many_routes_only_the_addresses_count() -> None:
    routes = [
        Route(f"10.{n >> 8}.{n & 255}.0/24", ((1, ""),), is_kernel_made=False)
        for n in range(module.MAX_ROUTES + 1)
    ]
    addresses = [Address("192.0.2.2", 2, is_lasting=True)]

    assert network_from(addresses, routes, ["rule"]) == Network(frozenset({"192.0.2.2"}), None)


def test_with_too_many_rules_only_the_addresses_count() -> None:
    rules = [f"rule {n}" for n in range(module.MAX_ROUTES + 1)]
    addresses = [Address("192.0.2.2", 2, is_lasting=True)]

    assert network_from(addresses, [], rules) == Network(frozenset({"192.0.2.2"}), None)


def test_an_unreachable_route_does_not_make_the_addresses_of_its_link_count() -> None:
    addresses = [Address("192.0.2.2", 1, is_lasting=True)]
    routes = [Route("fd00::/8", ((1, ""),), is_kernel_made=False, type="unreachable")]

    network = network_from(addresses, routes, [])

    assert (network.addresses, network.routes) == (frozenset(), frozenset())
    assert len(network.policies) == 1
