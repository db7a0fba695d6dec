"""Detection of forwards that would listen on the same address. It opens no socket."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tunnelkeeper.config.errors import KeyPath, ValueProblem, format_key_path
from tunnelkeeper.core.forward_spec import Address
from tunnelkeeper.net.bind_addresses import conflict_key, overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tunnelkeeper.config.forward_values import Entry
    from tunnelkeeper.config.sections import Values

Listener = tuple[KeyPath, Address]
"""A forward's key path and its listen address."""


def listen_conflicts(tunnels: Mapping[str, Values]) -> Iterator[ValueProblem]:
    """Yield a problem for each listener that conflicts with an earlier one.

    Listeners on this machine are compared across tunnels. Listeners on a server are compared within
    one tunnel only: whether two tunnels use the same server is known when they connect.
    """
    here = (
        listener
        for name, values in tunnels.items()
        for listener in _listeners(name, values, ("local", "socks"))
    )
    yield from _find_conflicts(here)
    for name, values in tunnels.items():
        yield from _find_conflicts(_listeners(name, values, ("remote",)))


def _find_conflicts(listeners: Iterable[Listener]) -> Iterator[ValueProblem]:
    seen: defaultdict[int | str, list[Listener]] = defaultdict(list)
    for at, address in listeners:
        neighbours = seen[conflict_key(address)]
        for other_at, other in neighbours:
            if overlap(address, other):
                also = "" if str(address) == str(other) else f" ({other})"
                message = (
                    f"listens on {address}, where {format_key_path(other_at)}{also} listens already"
                )
                yield ValueProblem(at, message)
                break
        neighbours.append((at, address))


def _listeners(name: str, values: Values, kinds: Iterable[str]) -> Iterator[Listener]:
    for kind in kinds:
        entries: tuple[Entry, ...] = values.get(kind, ())
        for index, entry in enumerate(entries):
            place = ("tunnels", name, kind, index) if len(entries) > 1 else ("tunnels", name, kind)
            yield place, entry.forward.listen
