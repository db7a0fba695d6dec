"""Shows the machine's network and waits until it may have changed: netlink on Linux, else a poll.

It does not judge what a change means; that is core.network_changes.
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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.clock import Clock

POLL_INTERVAL = 10.0
"""Seconds between two looks where the system tells nobody of changes."""

MAX_ROUTES = 2000
"""Routes that are looked at. A machine with more is a router: its routes change all the time, and
only its addresses count."""

DATAGRAM = 1 << 16  # bytes; the kernel writes a dump in pieces of at most half of that
ANSWER_TIMEOUT = 1.0  # seconds for the kernel to answer in; it does so at once


class NetworkSource(Protocol):
    """A way to learn of the network. Raises OSError where the system allows no look."""

    def read(self) -> Network:
        """The network as it is now."""

    async def wait_for_change(self) -> None:
        """Wait until it may have changed."""

    def close(self) -> None:
        """Wait no more."""


class NetlinkSource:
    """What Linux tells of itself (netlink(7)). Raises OSError where that is not allowed."""

    def __init__(self) -> None:
        self._changes = _netlink_socket()
        try:
            self._changes.bind((0, rtnetlink.CHANGES))
        except BaseException:
            self._changes.close()
            raise
        self._changes.setblocking(False)

    def read(self) -> Network:
        """See NetworkSource. What was still to be dumped is part of what is seen."""
        self._discard_pending()
        dumped = _dump(rtnetlink.GET_ROUTE, rtnetlink.NEW_ROUTE)
        routes = islice(filter(None, map(rtnetlink.route, dumped)), MAX_ROUTES + 1)
        addresses = map(rtnetlink.address, _dump(rtnetlink.GET_ADDRESS, rtnetlink.NEW_ADDRESS))
        return network_from(list(filter(None, addresses)), list(routes))

    async def wait_for_change(self) -> None:
        """See NetworkSource."""
        try:
            await asyncio.get_running_loop().sock_recv(self._changes, DATAGRAM)
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # more was dumped than we took: it did change
                raise

    def close(self) -> None:
        """See NetworkSource."""
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
    """A look now and then at the addresses; routes are not dumped."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def read(self) -> Network:
        """See NetworkSource."""
        states = psutil.net_if_stats()
        present, lasting = set(), set()
        for link, addresses in psutil.net_if_addrs().items():
            for each in addresses:
                if each.family not in {socket.AF_INET, socket.AF_INET6}:
                    continue
                text = each.address.partition("%")[0]  # the zone of a link-local address
                present.add(text)
                if link in states and states[link].isup and _is_routable(text):
                    lasting.add(text)
        return Network(frozenset(lasting), None, frozenset(present))

    async def wait_for_change(self) -> None:
        """See NetworkSource."""
        await self._clock.sleep(POLL_INTERVAL)

    def close(self) -> None:
        """See NetworkSource."""


def open_network_source(clock: Clock) -> tuple[NetworkSource, str]:
    """The best source that this system has, and what it lacks, for the log; empty: nothing.

    Raises OSError where there is none at all.
    """
    limitation = ""
    if sys.platform == "linux":
        try:
            return NetlinkSource(), ""
        except OSError as error:
            limitation = (
                f"netlink is not allowed here ({error.strerror}): changes of the network are "
                f"looked for every {POLL_INTERVAL:.0f} s"
            )
    poll = AddressPoller(clock)
    poll.read()
    return poll, limitation


def network_from(addresses: list[rtnetlink.Address], routes: list[rtnetlink.Route]) -> Network:
    """The network that these make up; of too many routes, nothing is concluded."""
    route_links = {link for route in routes for link, _ in route.hops}
    too_many = len(routes) > MAX_ROUTES
    lasting = {a.text for a in addresses if a.is_lasting and (a.link in route_links or too_many)}
    configured = (
        None if too_many else frozenset(_route_text(r) for r in routes if not r.is_kernel_made)
    )
    return Network(frozenset(lasting), configured, frozenset(a.text for a in addresses))


def _route_text(route: rtnetlink.Route) -> str:
    """A route as ip-route(8) prints it, as far as it matters."""
    words = [route.destination]
    for link, gateway in route.hops:
        words += [f"via {gateway}"] * bool(gateway) + [f"dev {_link_name(link)}"]
    words += [f"metric {route.metric}"] * bool(route.metric)
    words += [f"table {route.table}"] * (route.table != rtnetlink.MAIN_TABLE)
    return " ".join(words)


def _link_name(link: int) -> str:
    with suppress(OSError):
        return socket.if_indextoname(link)
    return f"#{link}"


def _dump(request: int, wanted: int) -> Iterator[bytes]:
    """All messages of a kind that the kernel answers with.

    Raises OSError.
    """
    with _request(rtnetlink.dump_request(request, sequence=1)) as kernel:
        while True:
            data, (port, _) = kernel.recvfrom(DATAGRAM)
            if port != 0:  # a process may write to our socket, too (netlink(7))
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
