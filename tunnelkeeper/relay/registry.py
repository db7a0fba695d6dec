"""Who listens where: ports, names and paths, each held by one connection; and takeover.

A place that an older connection of the same owner holds is given up for the newer one: a box whose
connection died unnoticed gets its port back at once. Anybody else's is never touched. Nothing is
bound here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress
from tunnelkeeper.core.wildcards import ascii_lower
from tunnelkeeper.forwarding.pump import Counters
from tunnelkeeper.net.bind_addresses import conflict_key, overlap

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.forwarding.pump import ChannelEndpoint
    from tunnelkeeper.net.listener import Listener

K = TypeVar("K")

# RFC 1123 section 2.1, and the underscore that people write. A letter must be in it: resolvers
# read 2130706433 and 0x7f000001 as 127.0.0.1 (inet_aton(3)).
_LABEL = re.compile(r"(?=.*[a-z])(?!0x[0-9a-f]*\Z)[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")

_OF_THIS_MACHINE = frozenset(
    {
        "localhost",
        "localhost4",  # Fedora's /etc/hosts
        "localhost6",
        "ip6-localhost",  # Debian's /etc/hosts
        "ip6-loopback",
        "ip6-allnodes",
        "ip6-allrouters",
    }
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name, in lower case, with its port; nothing is bound for it."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


def listen_name(host: str) -> str | None:
    """The name, in lower case, that a listen host is; None for whatever else it may be.

    An address, `localhost`, `*`, nothing at all, a host name with dots: all of these are bound.
    """
    name = ascii_lower(host)
    if name in _OF_THIS_MACHINE or not _LABEL.fullmatch(name):
        return None
    return name


BindTarget = TcpAddress | Name | UnixAddress
"""What a client can listen on. Of a TCP address the host is what is bound, and its port never 0."""


class BindingOwner(Protocol):
    """A connection that listens."""

    @property
    def owner(self) -> tuple[str, bytes]:
        """User and key: connections of the same owner may take places from each other."""

    async def reach(
        self, holding: Binding, origin: tuple[str, int], on_made: Callable[[ChannelEndpoint], None]
    ) -> ChannelEndpoint:
        """A channel to this client for one who came to a place it holds.

        Raises ConnectError.
        """

    def challenge(self) -> None:
        """End the connection unless it answers soon: a newer one has taken what it held."""


@dataclass(slots=True, eq=False)
class Binding:
    """A place that a client listens on. host, port: what it asked for, as it wrote it.

    listener: None for a name, and while the sockets are being made.
    """

    place: BindTarget
    holder: BindingOwner
    host: str
    port: int
    since: str
    listener: Listener | None = None
    counters: Counters = field(default_factory=Counters)
    is_over: bool = False

    def end(self) -> None:
        """Accept no more; what is connected stays."""
        self.is_over = True
        if self.listener is not None:
            self.listener.close()
            self.listener = None


class AlreadyBoundError(Exception):
    """Somebody else listens there."""


class Registry:
    """Every place that a client holds."""

    def __init__(self) -> None:
        self._by_key: defaultdict[object, list[Binding]] = defaultdict(list)
        self._by_holder: defaultdict[BindingOwner, list[Binding]] = defaultdict(list)

    def claim(self, holding: Binding) -> list[Binding]:
        """Take a place; the holdings of older connections of the same owner that ended for it.

        Raises PlaceTaken, and then nothing has changed.
        """
        rivals = self._by_key.get(_key(holding.place), [])
        in_the_way = [held for held in rivals if _conflict(held.place, holding.place)]
        for held in in_the_way:
            if held.holder is holding.holder or held.holder.owner != holding.holder.owner:
                raise AlreadyBoundError(str(held.place))
        for held in in_the_way:
            self.release(held)
        self._by_key[_key(holding.place)].append(holding)
        self._by_holder[holding.holder].append(holding)
        return in_the_way

    def release(self, holding: Binding) -> None:
        """Give a place up, if it is still held."""
        holding.end()
        _remove(self._by_key, _key(holding.place), holding)
        _remove(self._by_holder, holding.holder, holding)

    def of(self, holder: BindingOwner) -> list[Binding]:
        """What a client holds, oldest first."""
        return list(self._by_holder.get(holder, []))

    def named(self, name: str, port: int) -> Binding | None:
        """Who holds a name with a port."""
        found = self._by_key.get(Name(name, port))
        return found[0] if found else None

    def bound(self, port: int) -> set[tuple[str, int]]:
        """The addresses that listeners of clients are bound to with a port."""
        return {
            bound.getsockname()[:2]
            for holding in self._by_key.get(port, [])
            if holding.listener is not None
            for bound in holding.listener.sockets
        }


def _key(place: BindTarget) -> object:
    """What places that may overlap have in common."""
    return place if isinstance(place, Name) else conflict_key(place)


def _remove(table: dict[K, list[Binding]], key: K, holding: Binding) -> None:
    held = table.get(key, [])
    if holding in held:
        held.remove(holding)
    if not held:
        table.pop(key, None)


def _conflict(first: BindTarget, second: BindTarget) -> bool:
    """Return whether two targets cannot be listened on at the same time."""
    if isinstance(first, Name) or isinstance(second, Name):
        return first == second
    return overlap(first, second)
