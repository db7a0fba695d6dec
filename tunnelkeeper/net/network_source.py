"""The state of the machine's network and its changes, from netlink on Linux, otherwise by polling.

core.network_changes decides what a change means; nothing here does.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import sys
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import psutil

from tunnelkeeper.core.network_changes import Network
from tunnelkeeper.net import rtnetlink
from tunnelkeeper.net.routing_rules import rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.clock import Clock

POLL_INTERVAL = 10.0
"""Seconds between two polls on a system that does not announce changes."""

MAX_ROUTES = 2000
"""Routes that are read, and rules. A machine with more is a router, whose routes change all the
time, so only its addresses count."""

DATAGRAM = 1 << 16  # bytes; the kernel sends a dump in datagrams of at most half that size
ANSWER_TIMEOUT = 1.0  # seconds; the kernel normally answers at once


class NetworkSource(Protocol):
    """A source of network states. Its methods raise OSError if the system denies access."""

    def read(self) -> Network:
        """Return the current network."""

    async def wait_for_change(self) -> None:
        """Wait until the network may have changed."""

    def close(self) -> None:
        """Release the source's sockets."""


class NetlinkSource:
    """Change notifications of Linux (netlink(7)). Raises OSError where netlink is not allowed."""

    def __init__(self) -> None:
        self._changes = _netlink_socket()
        try:
            self._changes.bind((0, rtnetlink.CHANGES))
        except BaseException:
            self._changes.close()
            raise
        self._changes.setblocking(False)

    def read(self) -> Network:
        """Return the current network. It includes all pending changes, so they are discarded."""
        self._discard_pending()
        dumped = _dump(rtnetlink.GET_ROUTE, rtnetlink.NEW_ROUTE)
        routes = islice(filter(None, map(rtnetlink.route, dumped)), MAX_ROUTES + 1)
        addresses = map(rtnetlink.address, _dump(rtnetlink.GET_ADDRESS, rtnetlink.NEW_ADDRESS))
        rules = map(rule, _dump(rtnetlink.GET_RULE, rtnetlink.NEW_RULE))
        return network_from(
            list(filter(None, addresses)),
            list(routes),
            list(islice(filter(None, rules), MAX_ROUTES + 1)),
        )

    async def wait_for_change(self) -> None:
        """Wait for a message on the netlink socket."""
        try:
            await asyncio.get_running_loop().sock_recv(self._changes, DATAGRAM)
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # the receive buffer overflowed: something did change
                raise

    def close(self) -> None:
        """Close the netlink socket."""
        self._changes.close()

    def _discard_pending(self) -> None:
        while True:
            try:
                self._changes.recv(DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise


class AddressPoller:
    """A poll of the addresses every POLL_INTERVAL; it does not read routes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def read(self) -> Network:
        """Return the current addresses, without routes."""
        states = psutil.net_if_stats()
        present, lasting = set(), set()
        for link, addresses in psutil.net_if_addrs().items():
            for each in addresses:
                if each.family not in {socket.AF_INET, socket.AF_INET6}:
                    continue
                text = each.address.partition("%")[0]  # without the zone of a link-local address
                present.add(text)
                if link in states and states[link].isup and _is_routable(text):
                    lasting.add(text)
        return Network(frozenset(lasting), None, frozenset(present))

    async def wait_for_change(self) -> None:
        """Wait for one poll interval."""
        await self._clock.sleep(POLL_INTERVAL)

    def close(self) -> None:
        """Do nothing: no socket is open."""


def open_network_source(clock: Clock) -> tuple[NetworkSource, str]:
    """Return the best source of this system, and a log message on its limitation (may be empty).

    Raises OSError if no source works.
    """
    limitation = ""
    if sys.platform == "linux":
        try:
            return NetlinkSource(), ""
        except OSError as error:
            limitation = (
                f"netlink is not allowed here ({error.strerror}): the network is polled every "
                f"{POLL_INTERVAL:.0f} s"
            )
    poll = AddressPoller(clock)
    poll.read()
    return poll, limitation


def network_from(
    addresses: list[rtnetlink.Address], routes: list[rtnetlink.Route], rules: list[str]
) -> Network:
    """Return the network of these addresses, routes and rules; too many routes are ignored."""
    route_links = {link for route in routes if not route.type for link, _ in route.hops}
    too_many = max(len(routes), len(rules)) > MAX_ROUTES
    lasting = {a.text for a in addresses if a.is_lasting and (a.link in route_links or too_many)}
    configured = [
        _route_text(route) for route in routes if not (route.is_kernel_made or route.type)
    ]
    policies = rules + [_route_text(route) for route in routes if route.type]
    return Network(
        frozenset(lasting),
        None if too_many else frozenset(configured),
        frozenset(a.text for a in addresses),
        frozenset() if too_many else frozenset(policies),
    )


def _route_text(route: rtnetlink.Route) -> str:
    """Return the relevant fields of a route as ip-route(8) prints them."""
    fields = [route.type] * bool(route.type) + [route.destination]
    fields += [f"from {route.source}"] * bool(route.source) + [f"tos {route.tos}"] * bool(route.tos)
    for link, gateway in route.hops:
        fields += [f"via {gateway}"] * bool(gateway) + [f"dev {_link_name(link)}"]
    fields += [f"src {route.preferred_source}"] * bool(route.preferred_source)
    fields += [f"metric {route.metric}"] * bool(route.metric)
    fields += [f"table {route.table}"] * (route.table != rtnetlink.MAIN_TABLE)
    return " ".join(fields)


def _link_name(link: int) -> str:
    with suppress(OSError):
        return socket.if_indextoname(link)
    return f"#{link}"


def _dump(request: int, wanted: int) -> Iterator[bytes]:
    """Send a dump request; yield the bodies of the wanted messages in the answer.

    Raises OSError.
    """
    with _request(rtnetlink.dump_request(request, sequence=1)) as kernel:
        while True:
            data, (port, _) = kernel.recvfrom(DATAGRAM)
            if port != 0:  # another process may write to the socket, too (netlink(7))
                continue
            for kind, body in rtnetlink.messages(data):
                if kind == wanted:
                    yield body
                elif kind in {rtnetlink.DONE, rtnetlink.ERROR}:
                    return


@contextmanager
def _request(request: bytes) -> Iterator[socket.socket]:
    with _netlink_socket() as kernel:
        kernel.settimeout(ANSWER_TIMEOUT)
        kernel.send(request)
        yield kernel


def _netlink_socket() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)


def _is_routable(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return not (address.is_loopback or address.is_link_local)
