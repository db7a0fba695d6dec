"""Checks across tables that are valid by themselves. It reads and changes nothing."""

from __future__ import annotations

from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from tunnelkeeper.config.errors import KeyPath, ValueProblem, format_key_path
from tunnelkeeper.config.host_values import NO_JUMP, TRUSTS_ANY_KEY
from tunnelkeeper.config.merging import merge_backoff
from tunnelkeeper.core.forward_spec import Address, UnixAddress
from tunnelkeeper.core.host_spec import parse_host_spec
from tunnelkeeper.core.token_expansion import PATH_TOKENS, TUNNEL_TOKENS, token_letters
from tunnelkeeper.net.bind_addresses import conflict_key, overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tunnelkeeper.config.forward_values import Entry
    from tunnelkeeper.config.sections import Sections, Values
    from tunnelkeeper.core.configuration import Configuration

ADD_HINT = (
    "add a table [tunnels.NAME] with a host and a forward; `tunnelkeeper add --help` has examples"
)
"""What to do about a file without tunnels."""


def conflicts(sections: Sections) -> Iterator[ValueProblem]:
    """Yield the problems that involve more than one value."""
    for at, values in _tables(sections):
        yield from _jump_and_proxy_command(at, values)
        yield from _backoff_limits(at, values, sections.defaults)
    for name, values in sections.tunnels.items():
        yield from _host_repeated_in_keys(("tunnels", name), values)
    yield from _jump_loops(sections.hosts)
    yield from listen_conflicts(sections.tunnels)


def warnings(
    document: Mapping[str, object], configuration: Configuration
) -> Iterator[ValueProblem]:
    """Yield what is valid and probably a mistake, for a document without problems."""
    if not configuration.tunnels:
        yield ValueProblem((), "no tunnels", ADD_HINT)
    for tunnel in configuration.tunnels.values():
        if not tunnel.forwards:
            message = "forwards nothing and only holds its connection"
            hint = "add `local`, `remote` or `socks`"
            yield ValueProblem(("tunnels", tunnel.name), message, hint)
    yield from _unsafe_policies(document, ())


def _unsafe_policies(table: Mapping[str, object], at: KeyPath) -> Iterator[ValueProblem]:
    """Yield a warning for each value of ssh that would trust changed host keys."""
    policy = table.get("host_key_policy")
    if policy in TRUSTS_ANY_KEY:
        message = f"{policy!r} would trust changed keys too, and is treated as 'accept-new'"
        yield ValueProblem((*at, "host_key_policy"), message, "write 'accept-new'")
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _unsafe_policies(value, (*at, key))


def _tables(sections: Sections) -> Iterator[tuple[KeyPath, Values]]:
    yield ("defaults",), sections.defaults
    yield from ((("hosts", name), values) for name, values in sections.hosts.items())
    yield from ((("tunnels", name), values) for name, values in sections.tunnels.items())


def _jump_and_proxy_command(at: KeyPath, values: Values) -> Iterator[ValueProblem]:
    if values.get("jump") and values.get("proxy_command", NO_JUMP) != NO_JUMP:
        yield ValueProblem(
            (*at, "proxy_command"),
            "jump is set as well, and only one of them can be used",
            "remove one of them",
        )


def _backoff_limits(at: KeyPath, values: Values, defaults: Values) -> Iterator[ValueProblem]:
    if "backoff" not in values:
        return
    backoff = merge_backoff(values, defaults)
    if backoff.initial > backoff.max:
        message = f"initial ({backoff.initial:g} s) is more than max ({backoff.max:g} s)"
        yield ValueProblem((*at, "backoff"), message)


def _host_repeated_in_keys(at: KeyPath, values: Values) -> Iterator[ValueProblem]:
    """Yield a problem if a key repeats the user or port that the host names."""
    if "host" not in values:
        return
    host_spec = parse_host_spec(values["host"])
    for key, inside in (("user", host_spec.user), ("port", host_spec.port)):
        if inside is not None and key in values:
            message = f"the host {values['host']!r} names a {key} already"
            yield ValueProblem((*at, key), message, "remove one of them")
    if any(parse_host_spec(hop).is_same_server(host_spec) for hop in values.get("jump", ())):
        yield ValueProblem(
            (*at, "jump"), f"the tunnel's own host {values['host']!r} is a jump host"
        )


def _jump_loops(hosts: Mapping[str, Values]) -> Iterator[ValueProblem]:
    """Yield each loop among the jump hosts of [hosts] once."""
    jumps = {
        name: dict.fromkeys(parse_host_spec(hop).host for hop in values.get("jump", ()))
        for name, values in hosts.items()
    }
    while loop := _find_loop(jumps):
        first, second = loop[:2]
        chain = " -> ".join(loop)
        yield ValueProblem(("hosts", first, "jump"), f"the jump hosts form a loop: {chain}")
        del jumps[first][second]


def _find_loop(jumps: Mapping[str, Iterable[str]]) -> list[str]:
    """Return a chain from a host through its jump hosts back to itself, or nothing."""
    try:
        TopologicalSorter(jumps).prepare()
    except CycleError as error:
        loop: list[str] = error.args[1][::-1]  # graphlib lists jump hosts before their users
        return loop
    return []


Listener = tuple[KeyPath, Address, str]
"""A forward's key path, its listen address, and the only tunnel whose listeners can conflict with
it, or empty."""


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
    seen: defaultdict[tuple[int | str, str], list[Listener]] = defaultdict(list)
    for at, address, scope in listeners:
        neighbours = seen[conflict_key(address), scope]
        for other_at, other, _ in neighbours:
            if overlap(address, other):
                also = "" if str(address) == str(other) else f" ({other})"
                message = (
                    f"listens on {address}, where {format_key_path(other_at)}{also} listens already"
                )
                yield ValueProblem(at, message)
                break
        neighbours.append((at, address, scope))


def _listeners(name: str, values: Values, kinds: Iterable[str]) -> Iterator[Listener]:
    for kind in kinds:
        entries: tuple[Entry, ...] = values.get(kind, ())
        for index, entry in enumerate(entries):
            place = ("tunnels", name, kind, index) if len(entries) > 1 else ("tunnels", name, kind)
            listen = entry.forward.listen
            yield place, listen, name if _differs_by_tunnel(listen) else ""


def _differs_by_tunnel(listen: Address) -> bool:
    """Return whether the same path can be another one in another tunnel."""
    return isinstance(listen, UnixAddress) and not TUNNEL_TOKENS.isdisjoint(
        token_letters(listen.path, PATH_TOKENS)
    )
