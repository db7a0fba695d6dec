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
    """The addresses that reach beyond their link, and the configured routes and rules.

    These are omitted because they come and go without affecting connections: loopback and
    link-local addresses (every container adds one), temporary IPv6 addresses (RFC 8981),
    addresses that are not usable or still checked for duplicates, and the routes that the system
    adds with an address.
    routes: the routes that lead somewhere; None if the system does not report them.
    all_addresses: every address of the machine, including the omitted ones.
    policies: the routes of other types (`unreachable`, `throw`, `local`) and the routing rules.
    They decide the path of a packet, but no host can be reached by them alone.
    """

    addresses: frozenset[str]
    routes: frozenset[str] | None = None
    all_addresses: frozenset[str] = field(default=frozenset(), compare=False)
    policies: frozenset[str] = frozenset()


class Change(Enum):
    """How the network changed between two snapshots."""

    SAME = "same"
    CHANGED = "changed"
    LOST = "lost"
    CHANGED_WHILE_LOST = "changed while lost"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class NetworkState:
    """The network so far. last_good: when it was last usable. lost: now, if it is not usable."""

    last_good: Network
    lost: Network | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the network is not usable now."""
        return self.lost is not None

    @property
    def current(self) -> Network:
        """The network now."""
        return self.last_good if self.lost is None else self.lost


def compare(state: NetworkState, network: Network) -> tuple[NetworkState, Change]:
    """Return the new state and the change."""
    last_good = state.last_good
    if _is_lost(last_good, network):
        if state.lost is None:
            change = Change.LOST
        else:
            change = Change.SAME if network == state.lost else Change.CHANGED_WHILE_LOST
        return NetworkState(last_good, network), change
    if state.is_lost:
        return NetworkState(network), Change.BACK
    return NetworkState(network), Change.SAME if network == last_good else Change.CHANGED


def describe_difference(before: Network, after: Network) -> str:
    """Return the added and removed addresses, routes and rules, for the log."""
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
    return {*network.addresses, *(network.routes or ()), *network.policies}
