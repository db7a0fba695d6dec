"""Finds forwards that would listen on the same address; it reads addresses and opens none."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tunnelkeeper.config.errors import KeyPath, ValueProblem, printed
from tunnelkeeper.core.forward_spec import Address
from tunnelkeeper.net.bind_addresses import conflict_key, overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tunnelkeeper.config.forward_values import Entry
    from tunnelkeeper.config.sections import Values

Listener = tuple[KeyPath, Address]
"""A forward's place in the file and what it listens on."""


def clashes(tunnels: Mapping[str, Values]) -> Iterator[ValueProblem]:
    """A fault for each listener that is in the way of an earlier one.

    Those on this machine are compared across tunnels, those on a server within one tunnel only:
    whether two tunnels meet on the same server shows when they connect.
    """
    here = (
        listener
        for name, values in tunnels.items()
        for listener in _listeners(name, values, ("local", "socks"))
    )
    yield from _clashes(here)
    for name, values in tunnels.items():
        yield from _clashes(_listeners(name, values, ("remote",)))


def _clashes(listeners: Iterable[Listener]) -> Iterator[ValueProblem]:
    seen: defaultdict[int | str, list[Listener]] = defaultdict(list)
    for at, address in listeners:
        neighbours = seen[conflict_key(address)]
        for other_at, other in neighbours:
            if overlap(address, other):
                also = "" if str(address) == str(other) else f" ({other})"
                message = f"listens on {address}, where {printed(other_at)}{also} listens already"
                yield ValueProblem(at, message)
                break
        neighbours.append((at, address))


def _listeners(name: str, values: Values, kinds: Iterable[str]) -> Iterator[Listener]:
    for kind in kinds:
        entries: tuple[Entry, ...] = values.get(kind, ())
        for index, entry in enumerate(entries):
            place = ("tunnels", name, kind, index) if len(entries) > 1 else ("tunnels", name, kind)
            yield place, entry.forward.listen
