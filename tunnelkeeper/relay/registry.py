"""Registry of bindings: the ports, names and paths that clients listen on, and takeover.

A newer connection with the same user and key takes a binding over from an older one, so that a
machine whose connection died unnoticed gets its port back at once. A binding of any other client is
never touched. The registry binds no socket.

A name is a single label (`ssh -R home:22:localhost:22`) and never contains a dot: a client that
could bind `db.example.com` would get connections that others mean for that host.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress
from tunnelkeeper.core.wildcards import ascii_lower
from tunnelkeeper.forwarding.pump import Counters
from tunnelkeeper.net.bind_addresses import conflict_key, overlap

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.budget import Account
    from tunnelkeeper.forwarding.pump import ChannelEndpoint
    from tunnelkeeper.net.descriptor_pool import Place
    from tunnelkeeper.net.listener import Listener

K = TypeVar("K")

# RFC 1123 section 2.1, plus the underscore that is used in practice. A letter is required, because
# resolvers read 2130706433 and 0x7f000001 as 127.0.0.1 (inet_aton(3)).
# Labels with hyphens in the third and fourth place are of other scripts (RFC 5891 section 4.2.3.1),
# and a screen may show them like a name of Latin letters.
_LABEL = re.compile(r"(?=.*[a-z])(?!0x[0-9a-f]*\Z)(?!..--)[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")

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
    """A name in lower case and its port; no socket is bound for it."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


def listen_name(host: str) -> str | None:
    """Return the name, in lower case, that a listen host is; None if a socket must be bound.

    An address, `localhost`, `*`, an empty host and a host name with dots are not names.
    """
    name = ascii_lower(host)
    if name in _LOCAL_NAMES or not _LABEL.fullmatch(name):
        return None
    return name


BindTarget = TcpAddress | Name | UnixAddress
"""What a client can listen on. A TCP address has the host that is bound, and its port is not 0."""


def kind_of(target: BindTarget) -> Literal["port", "name", "path"]:
    """Return the kind of a target, as status shows it."""
    match target:
        case TcpAddress():
            return "port"
        case Name():
            return "name"
        case UnixAddress():
            return "path"


class BindingOwner(Protocol):
    """A connection that owns bindings."""

    @property
    def identity(self) -> tuple[str, bytes]:
        """User and key: connections with the same identity may take over each other's bindings."""

    async def open_channel(
        self,
        binding: Binding,
        origin: tuple[str, int],
        on_open: Callable[[ChannelEndpoint], None],
        payer: Account[Any] | None = None,
    ) -> ChannelEndpoint:
        """Open a channel to this client for a connection to one of its bindings.

        payer: whose account its memory counts for; None for the client's. Raises ConnectError.
        """

    def probe_liveness(self) -> None:
        """Close the connection unless it answers soon: a newer one has taken its binding."""


@dataclass(slots=True, eq=False)
class Binding:
    """What one client listens on. host, port: as the client requested them.

    listener: None for a name, and until the sockets are bound. place: in the pool of descriptors.
    """

    target: BindTarget
    owner: BindingOwner
    host: str
    port: int
    since: str
    listener: Listener | None = None
    counters: Counters = field(default_factory=Counters)
    is_released: bool = False
    place: Place | None = None

    def close(self) -> None:
        """Stop accepting; accepted connections stay open."""
        self.is_released = True
        if self.place is not None:
            self.place.release()
        if self.listener is not None:
            self.listener.close()
            self.listener = None


class AlreadyBoundError(Exception):
    """Raised when another client is bound to the target."""


class Registry:
    """All bindings of all clients."""

    def __init__(self) -> None:
        self._by_key: defaultdict[object, list[Binding]] = defaultdict(list)
        self._by_owner: defaultdict[BindingOwner, list[Binding]] = defaultdict(list)

    def claim(self, binding: Binding) -> list[Binding]:
        """Add a binding; return the bindings of older connections that were released for it.

        Raises AlreadyBoundError without changing anything.
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
        """Close and remove a binding; do nothing if it is already released."""
        binding.close()
        _remove(self._by_key, _key(binding.target), binding)
        _remove(self._by_owner, binding.owner, binding)

    def of(self, owner: BindingOwner) -> list[Binding]:
        """Return the bindings of a client, oldest first."""
        return list(self._by_owner.get(owner, []))

    def named(self, name: str, port: int) -> Binding | None:
        """Return the binding of a name and port, if any."""
        found = self._by_key.get(Name(name, port))
        return found[0] if found else None

    def bound(self, port: int) -> set[tuple[str, int]]:
        """Return the addresses on which listeners of clients are bound to a port."""
        return {
            bound.getsockname()[:2]
            for binding in self._by_key.get(port, [])
            if binding.listener is not None
            for bound in binding.listener.sockets
        }


def _key(target: BindTarget) -> object:
    """Return a key that targets which may conflict have in common."""
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
