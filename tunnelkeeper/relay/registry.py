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

_LOCAL_NAMES = frozenset(
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
    if name in _LOCAL_NAMES or not _LABEL.fullmatch(name):
        return None
    return name


BindTarget = TcpAddress | Name | UnixAddress
"""What a client can listen on. Of a TCP address the host is what is bound, and its port never 0."""


class BindingOwner(Protocol):
    """A connection that listens."""

    @property
    def identity(self) -> tuple[str, bytes]:
        """User and key: connections of the same owner may take places from each other."""

    async def open_channel(
        self, binding: Binding, origin: tuple[str, int], on_open: Callable[[ChannelEndpoint], None]
    ) -> ChannelEndpoint:
        """A channel to this client for one who came to a place it holds.

        Raises ConnectError.
        """

    def probe_liveness(self) -> None:
        """End the connection unless it answers soon: a newer one has taken what it held."""


@dataclass(slots=True, eq=False)
class Binding:
    """A place that a client listens on. host, port: what it asked for, as it wrote it.

    listener: None for a name, and while the sockets are being made.
    """

    target: BindTarget
    owner: BindingOwner
    host: str
    port: int
    since: str
    listener: Listener | None = None
    counters: Counters = field(default_factory=Counters)
    is_released: bool = False

    def close(self) -> None:
        """Accept no more; what is connected stays."""
        self.is_released = True
        if self.listener is not None:
            self.listener.close()
            self.listener = None


class AlreadyBoundError(Exception):
    """Somebody else listens there."""


class Registry:
    """Every place that a client holds."""

    def __init__(self) -> None:
        self._by_key: defaultdict[object, list[Binding]] = defaultdict(list)
        self._by_owner: defaultdict[BindingOwner, list[Binding]] = defaultdict(list)

    def claim(self, binding: Binding) -> list[Binding]:
        """Take a place; the holdings of older connections of the same owner that ended for it.

        Raises PlaceTaken, and then nothing has changed.
        """
        candidates = self._by_key.get(_key(binding.target), [])
        conflicts = [
            existing for existing in candidates if _conflict(existing.target, binding.target)
        ]
        for existing in conflicts:
            if existing.owner is binding.owner or existing.owner.identity != binding.owner.identity:
                raise AlreadyBoundError(str(existing.target))
        for existing in conflicts:
            self.release(existing)
        self._by_key[_key(binding.target)].append(binding)
        self._by_owner[binding.owner].append(binding)
        return conflicts

    def release(self, binding: Binding) -> None:
        """Give a place up, if it is still held."""
        binding.close()
        _remove(self._by_key, _key(binding.target), binding)
        _remove(self._by_owner, binding.owner, binding)

    def of(self, owner: BindingOwner) -> list[Binding]:
        """What a client holds, oldest first."""
        return list(self._by_owner.get(owner, []))

    def named(self, name: str, port: int) -> Binding | None:
        """Who holds a name with a port."""
        found = self._by_key.get(Name(name, port))
        return found[0] if found else None

    def bound(self, port: int) -> set[tuple[str, int]]:
        """The addresses that listeners of clients are bound to with a port."""
        return {
            bound.getsockname()[:2]
            for binding in self._by_key.get(port, [])
            if binding.listener is not None
            for bound in binding.listener.sockets
        }


def _key(target: BindTarget) -> object:
    """What places that may overlap have in common."""
    return target if isinstance(target, Name) else conflict_key(target)


def _remove(table: dict[K, list[Binding]], key: K, binding: Binding) -> None:
    existing = table.get(key, [])
    if binding in existing:
        existing.remove(binding)
    if not existing:
        table.pop(key, None)


def _conflict(first: BindTarget, second: BindTarget) -> bool:
    """Return whether two targets cannot be listened on at the same time."""
    if isinstance(first, Name) or isinstance(second, Name):
        return first == second
    return overlap(first, second)
