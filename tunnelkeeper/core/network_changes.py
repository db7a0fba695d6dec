"""The parts of this machine's network that matter to tunnels, and how they change. It does no I/O.

Only snapshots of the whole network are compared, not the messages in between. So a burst of
messages is one change, and messages that leave the network as it was are none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

MAX_LOGGED_CHANGES = 4
"""Addresses and routes in one log line."""


@dataclass(frozen=True, slots=True)
class Network:
    """The addresses that reach beyond their link, and the configured routes.

    These are omitted because they come and go without affecting connections: loopback and
    link-local addresses (every container adds one), temporary IPv6 addresses (RFC 8981),
    addresses that are not usable or still checked for duplicates, and the routes that the system
    adds with an address.
    routes: None if the system does not report them.
    all_addresses: every address of the machine, including the omitted ones.
    """

    addresses: frozenset[str]
    routes: frozenset[str] | None = None
    all_addresses: frozenset[str] = field(default=frozenset(), compare=False)


class Change(Enum):
    """How the network changed between two snapshots."""

    SAME = "same"
    CHANGED = "changed"
    LOST = "lost"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class NetworkState:
    """The network so far. last_good: when it was last usable. is_lost: it is not usable now."""

    last_good: Network
    is_lost: bool = False


def compare(state: NetworkState, network: Network) -> tuple[NetworkState, Change]:
    """Return the new state and the change. A network that is still lost has not changed."""
    last_good = state.last_good
    if _is_lost(last_good, network):
        return NetworkState(last_good, is_lost=True), Change.SAME if state.is_lost else Change.LOST
    if state.is_lost:
        return NetworkState(network), Change.BACK
    return NetworkState(network), Change.SAME if network == last_good else Change.CHANGED


def describe_difference(before: Network, after: Network) -> str:
    """Return the added and removed addresses and routes, for the log."""
    old, new = _names(before), _names(after)
    parts = [f"+ {name}" for name in _addresses_first(new - old)]
    parts += [f"- {name}" for name in _addresses_first(old - new)]
    more = len(parts) - MAX_LOGGED_CHANGES
    return ", ".join(parts[:MAX_LOGGED_CHANGES]) + (f" and {more} more" if more > 0 else "")


def _is_lost(last_good: Network, network: Network) -> bool:
    """Return whether all addresses or all routes are gone, and none was added."""
    if last_good.addresses and not network.addresses:
        return True
    routes_gone = bool(last_good.routes) and network.routes == frozenset()
    return routes_gone and network.addresses <= last_good.addresses


def _addresses_first(names: set[str]) -> list[str]:
    return sorted(names, key=lambda name: (" " in name, name))


def _names(network: Network) -> set[str]:
    return {*network.addresses, *(network.routes or ())}
