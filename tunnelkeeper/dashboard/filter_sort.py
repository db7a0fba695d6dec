"""The filter and the sort order of the table. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
"""The states in their sort order: those that need the user come first."""

NO_PROBLEM = 3
"""The rank of a tunnel that does not need the user."""

LARGEST_FIRST = frozenset({"rtt", "in", "out", "open", "restarts"})


@dataclass(frozen=True, slots=True)
class Sorting:
    """The sort order. `config` is the order of the file. Numbers start with the largest."""

    key: SortKey = "config"
    is_reversed: bool = False
    problems_first: bool = False
    """Whether tunnels with a problem precede all others. Each part has this order."""

    @property
    def is_descending(self) -> bool:
        """Whether the largest value comes first."""
        return (self.key in LARGEST_FIRST) != self.is_reversed

    def next_column(self) -> Sorting:
        """Return the default order of the next column."""
        key = SORT_KEYS[(SORT_KEYS.index(self.key) + 1) % len(SORT_KEYS)]
        return replace(self, key=key, is_reversed=False)

    def reverse(self) -> Sorting:
        """Return the opposite order."""
        return replace(self, is_reversed=not self.is_reversed)

    def toggle_problems_first(self) -> Sorting:
        """Return the order with the tunnels that have a problem first, or no longer first."""
        return replace(self, problems_first=not self.problems_first)

    def toggle(self, key: SortKey) -> Sorting:
        """Return the order by a column, reversed if that column is selected already."""
        return replace(self, key=key, is_reversed=self.key == key and not self.is_reversed)


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as typed: words that must occur, `state=` and `group=` with one or more values."""

    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.text.strip())

    def matches(self, tunnel: TunnelSnapshot) -> bool:
        """Return whether the table shows a tunnel. One of several states or groups is enough."""
        searchable: str | None = None
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
                searchable = searchable if searchable is not None else _searchable_text(tunnel)
                if word not in searchable:
                    return False
        return True


def visible_tunnels(model: Model, tunnel_filter: Filter, sorting: Sorting) -> list[TunnelSnapshot]:
    """Return the tunnels that match the filter. Equal ones keep the order of the file."""
    tunnels = list(model.tunnels.values())
    if tunnel_filter:
        tunnels = [tunnel for tunnel in tunnels if tunnel_filter.matches(tunnel)]
    if sorting.key != "config":
        key = _SORT_FUNCTIONS[sorting.key]
        tunnels.sort(key=lambda tunnel: key(tunnel, model), reverse=sorting.is_descending)
    elif sorting.is_reversed:
        tunnels.reverse()
    if sorting.problems_first:
        tunnels.sort(key=lambda tunnel: problem_rank(tunnel, model))
    return tunnels


def problem_rank(tunnel: TunnelSnapshot, model: Model) -> int:
    """Return how urgently a tunnel needs the user, from 0; NO_PROBLEM if it does not.

    Another attempt ranks as the wait before it, so that a row does not move with each attempt.
    """
    if tunnel.state == "blocked" or model.awaited_by(tunnel.name) is not None:
        return 0
    if tunnel.state == "backoff" or (tunnel.state == "connecting" and tunnel.attempt > 1):
        return 1
    return 2 if tunnel.state == "degraded" else NO_PROBLEM


def _searchable_text(tunnel: TunnelSnapshot) -> str:
    forwards = (format_forward(forward) for forward in tunnel.forwards)
    cause = failure.cause if (failure := first_failure(tunnel)) else ""
    return " ".join(
        (tunnel.name, format_host_chain(tunnel), *forwards, *tunnel.groups, cause)
    ).lower()


def _failure_key(tunnel: TunnelSnapshot, _model: Model) -> tuple[bool, str]:
    failure = first_failure(tunnel)
    return (failure is None, failure.cause if failure else "")


_SORT_FUNCTIONS: Mapping[str, Callable[[TunnelSnapshot, Model], Any]] = {
    "state": lambda tunnel, _: URGENCY.index(tunnel.state),
    "name": lambda tunnel, _: tunnel.name.lower(),
    "host": lambda tunnel, _: format_host_chain(tunnel),
    "forwards": lambda tunnel, _: [format_forward(forward) for forward in tunnel.forwards],
    "since": lambda tunnel, _: tunnel.since,
    "rtt": lambda tunnel, _: -1.0 if tunnel.rtt_ms is None else tunnel.rtt_ms,
    "in": lambda tunnel, model: model.throughput(tunnel.name).inbound,
    "out": lambda tunnel, model: model.throughput(tunnel.name).outbound,
    "open": lambda tunnel, _: tunnel.connections,
    "restarts": lambda tunnel, _: tunnel.restarts,
    "failure": _failure_key,
}
