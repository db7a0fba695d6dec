"""What this machine's network is, as far as tunnels mind, and when it has become another one.

Only pictures of the whole network are compared, never what was said in between: a burst of messages
is one change, and what left everything as it was is none. Nothing here asks the system.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

MAX_LOGGED_CHANGES = 4
"""Addresses and routes that one line of the log names."""


@dataclass(frozen=True, slots=True)
class Network:
    """The addresses that reach further than their link, and the routes that somebody set up.

    Left out, as they come and go and no connection minds: loopback and link-local addresses (every
    container brings one), temporary IPv6 addresses (RFC 8981), addresses that lead nowhere or are
    still being checked for duplicates, and the routes that only come with an address.
    routes: None where the system does not tell them.
    present: every address of the machine, also those left out.
    """

    addresses: frozenset[str]
    routes: frozenset[str] | None = None
    all_addresses: frozenset[str] = field(default=frozenset(), compare=False)


class Change(Enum):
    """What became of the network between two pictures of it."""

    SAME = "same"
    CHANGED = "changed"
    LOST = "lost"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class NetworkState:
    """known: the network as it was when it last led somewhere. is_lost: it does not any more."""

    last_good: Network
    is_lost: bool = False


def compare(state: NetworkState, network: Network) -> tuple[NetworkState, Change]:
    """What has become of the network. A lost one that is still lost is the same one."""
    known = state.last_good
    if _is_lost(known, network):
        return NetworkState(known, is_lost=True), Change.SAME if state.is_lost else Change.LOST
    if state.is_lost:
        return NetworkState(network), Change.BACK
    return NetworkState(network), Change.SAME if network == known else Change.CHANGED


def describe_difference(before: Network, after: Network) -> str:
    """What came and what went, for the log."""
    old, new = _names(before), _names(after)
    parts = [f"+ {each}" for each in _addresses_first(new - old)]
    parts += [f"- {each}" for each in _addresses_first(old - new)]
    more = len(parts) - MAX_LOGGED_CHANGES
    return ", ".join(parts[:MAX_LOGGED_CHANGES]) + (f" and {more} more" if more > 0 else "")


def _is_lost(known: Network, network: Network) -> bool:
    """Whether there were ways out and there are none now, and nothing new came in their place."""
    if known.addresses and not network.addresses:
        return True
    way_out_gone = bool(known.routes) and network.routes == frozenset()
    return way_out_gone and network.addresses <= known.addresses


def _addresses_first(named: set[str]) -> list[str]:
    return sorted(named, key=lambda each: (" " in each, each))


def _names(network: Network) -> set[str]:
    return {*network.addresses, *(network.routes or ())}
