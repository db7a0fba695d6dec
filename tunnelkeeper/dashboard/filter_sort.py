"""Which tunnels are shown, and in which order: the filter and the sorting; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from tunnelkeeper.presentation.tunnel_text import first_failure, format_forward, format_host_chain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tunnelkeeper.core.snapshot import StateName, TunnelSnapshot
    from tunnelkeeper.dashboard.model import Model

SortKey = Literal[
    "config",
    "state",
    "name",
    "host",
    "forwards",
    "since",
    "rtt",
    "in",
    "out",
    "open",
    "restarts",
    "failure",
]
SORT_KEYS: tuple[SortKey, ...] = get_args(SortKey)

URGENCY: tuple[StateName, ...] = (
    "blocked",
    "backoff",
    "degraded",
    "connecting",
    "stopping",
    "up",
    "stopped",
)
"""The states in the order in which a person wants to see them."""

LARGEST_FIRST = frozenset({"rtt", "in", "out", "open", "restarts"})


@dataclass(frozen=True, slots=True)
class Sorting:
    """By a column; `config` is the order of the file. Numbers begin with the largest."""

    key: SortKey = "config"
    is_reversed: bool = False

    @property
    def is_descending(self) -> bool:
        """Whether the largest comes first."""
        return (self.key in LARGEST_FIRST) != self.is_reversed

    def next_column(self) -> Sorting:
        """By the next column, the way it is most useful."""
        return Sorting(SORT_KEYS[(SORT_KEYS.index(self.key) + 1) % len(SORT_KEYS)])

    def select(self, key: SortKey) -> Sorting:
        """By a column, or the other way round if it is that one already."""
        return Sorting(key, self.key == key and not self.is_reversed)


@dataclass(frozen=True, slots=True)
class Filter:
    """As typed: words that must occur, and `state=` and `group=` with one value or several."""

    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.text.strip())

    def matches(self, tunnel: TunnelSnapshot) -> bool:
        """Whether a tunnel is to be shown. Several states or groups mean any of them."""
        haystack: str | None = None
        for word in self.text.lower().split():
            name, equals, value = word.partition("=")
            if equals and name == "state":
                if not any(tunnel.state.startswith(v) for v in value.split(",")):
                    return False
            elif equals and name == "group":
                groups = [group.lower() for group in tunnel.groups]
                if not any(group.startswith(v) for group in groups for v in value.split(",")):
                    return False
            else:
                haystack = haystack if haystack is not None else _searchable_text(tunnel)
                if word not in haystack:
                    return False
        return True


def visible_tunnels(model: Model, tunnel_filter: Filter, sorting: Sorting) -> list[TunnelSnapshot]:
    """The tunnels that pass the filter, sorted; equals stay in the order of the file."""
    found = (
        [t for t in model.tunnels.values() if tunnel_filter.matches(t)] if tunnel_filter else None
    )
    tunnels = list(model.tunnels.values()) if found is None else found
    if sorting.key == "config":
        return tunnels[::-1] if sorting.is_reversed else tunnels
    key = _SORT_FUNCTIONS[sorting.key]
    return sorted(tunnels, key=lambda tunnel: key(tunnel, model), reverse=sorting.is_descending)


def _searchable_text(tunnel: TunnelSnapshot) -> str:
    forwards = (format_forward(forward) for forward in tunnel.forwards)
    cause = failure.cause if (failure := first_failure(tunnel)) else ""
    return " ".join(
        (tunnel.name, format_host_chain(tunnel), *forwards, *tunnel.groups, cause)
    ).lower()


def _failure_key(tunnel: TunnelSnapshot, _board: Model) -> tuple[bool, str]:
    failure = first_failure(tunnel)
    return (failure is None, failure.cause if failure else "")


_SORT_FUNCTIONS: Mapping[str, Callable[[TunnelSnapshot, Model], Any]] = {
    "state": lambda tunnel, _: URGENCY.index(tunnel.state),
    "name": lambda tunnel, _: tunnel.name.lower(),
    "host": lambda tunnel, _: format_host_chain(tunnel),
    "forwards": lambda tunnel, _: [format_forward(forward) for forward in tunnel.forwards],
    "since": lambda tunnel, _: tunnel.since,
    "rtt": lambda tunnel, _: -1.0 if tunnel.rtt_ms is None else tunnel.rtt_ms,
    "in": lambda tunnel, board: board.rate(tunnel.name).inbound,
    "out": lambda tunnel, board: board.rate(tunnel.name).outbound,
    "open": lambda tunnel, _: tunnel.connections,
    "restarts": lambda tunnel, _: tunnel.restarts,
    "failure": _failure_key,
}
