"""Finds forwards that would listen on the same address; it reads addresses and opens none."""

from __future__ import annotations

import ipaddress
import posixpath
from collections import defaultdict
from typing import TYPE_CHECKING

from tunnelkeeper.config.errors import KeyPath, ValueProblem, printed
from tunnelkeeper.core.forward_spec import EVERY_INTERFACE, LOOPBACK, Address, TcpAddress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tunnelkeeper.config.forward_values import Entry
    from tunnelkeeper.config.sections import Values

Listener = tuple[KeyPath, Address]
"""A forward's place in the file and what it listens on."""

_EVERY_IPV4 = "0.0.0.0"  # noqa: S104  compared, not bound
_EVERY_IPV6 = "::"


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


def overlap(first: Address, second: Address) -> bool:
    """Whether the two cannot both be listened on. Port 0, which is always free, never overlaps."""
    if _slot(first) != _slot(second):
        return False
    if isinstance(first, TcpAddress) and isinstance(second, TcpAddress):
        ours, theirs = _interfaces(first.host), _interfaces(second.host)
        return first.port != 0 and (_covers(ours, theirs) or _covers(theirs, ours))
    return True


def _clashes(listeners: Iterable[Listener]) -> Iterator[ValueProblem]:
    seen: defaultdict[int | str, list[Listener]] = defaultdict(list)
    for at, address in listeners:
        neighbours = seen[_slot(address)]
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


def _slot(address: Address) -> int | str:
    """What two addresses share that may overlap: the port or the path."""
    if isinstance(address, TcpAddress):
        return address.port
    return posixpath.normpath(address.path)


def _interfaces(host: str) -> set[str]:
    """The addresses that a bind address stands for; a name stands for itself."""
    if host == EVERY_INTERFACE:
        return {_EVERY_IPV4, _EVERY_IPV6}
    if host.lower() == LOOPBACK:
        return {"127.0.0.1", "::1"}
    try:
        return {str(ipaddress.ip_address(host))}
    except ValueError:
        return {host.lower()}


def _covers(wider: set[str], hosts: set[str]) -> bool:
    """Whether one set of addresses has one of the other, itself or as part of all interfaces."""
    return any(
        host in wider
        or (_EVERY_IPV4 in wider and ":" not in host)
        or (_EVERY_IPV6 in wider and "." not in host)
        for host in hosts
    )
