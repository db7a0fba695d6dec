"""What tables that are right one by one can get wrong together; nothing is read or changed here."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from tunnelkeeper.config.errors import KeyPath, ValueProblem
from tunnelkeeper.config.host_values import NO_JUMP, TRUSTS_ANY_KEY
from tunnelkeeper.config.listen_conflicts import clashes
from tunnelkeeper.config.merging import backoff_of
from tunnelkeeper.core.host_spec import parse_host_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tunnelkeeper.config.sections import Sections, Values
    from tunnelkeeper.core.configuration import Configuration


def conflicts(sections: Sections) -> Iterator[ValueProblem]:
    """Whatever no single value of the file is to blame for."""
    for at, values in _tables(sections):
        yield from _two_ways_to_the_host(at, values)
        yield from _backoff_out_of_order(at, values, sections.defaults)
    for name, values in sections.tunnels.items():
        yield from _host_against_keys(("tunnels", name), values)
    yield from _loops(sections.hosts)
    yield from clashes(sections.tunnels)


def warnings(
    document: Mapping[str, object], configuration: Configuration
) -> Iterator[ValueProblem]:
    """What is allowed and probably not meant, in a document that has no faults."""
    if not configuration.tunnels:
        yield ValueProblem((), "no tunnels; add a table [tunnels.NAME] with a host and a forward")
    for tunnel in configuration.tunnels.values():
        if not tunnel.forwards:
            message = "forwards nothing and only holds its connection; add local, remote or socks"
            yield ValueProblem(("tunnels", tunnel.name), message)
    yield from _trusting(document, ())


def _trusting(table: Mapping[str, object], at: KeyPath) -> Iterator[ValueProblem]:
    """A warning for each host key policy of a table, and of the tables in it, that ssh means."""
    policy = table.get("host_key_policy")
    if policy in TRUSTS_ANY_KEY:
        message = f"{policy!r} would trust changed keys too; treated as 'accept-new'"
        yield ValueProblem((*at, "host_key_policy"), message)
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _trusting(value, (*at, key))


def _tables(sections: Sections) -> Iterator[tuple[KeyPath, Values]]:
    yield ("defaults",), sections.defaults
    yield from ((("hosts", name), values) for name, values in sections.hosts.items())
    yield from ((("tunnels", name), values) for name, values in sections.tunnels.items())


def _two_ways_to_the_host(at: KeyPath, values: Values) -> Iterator[ValueProblem]:
    if values.get("jump") and values.get("proxy_command", NO_JUMP) != NO_JUMP:
        yield ValueProblem(
            (*at, "proxy_command"), "jump is there as well, and only one can be used"
        )


def _backoff_out_of_order(at: KeyPath, values: Values, defaults: Values) -> Iterator[ValueProblem]:
    if "backoff" not in values:
        return
    backoff = backoff_of(values, defaults)
    if backoff.initial > backoff.max:
        message = f"initial ({backoff.initial:g} s) is more than max ({backoff.max:g} s)"
        yield ValueProblem((*at, "backoff"), message)


def _host_against_keys(at: KeyPath, values: Values) -> Iterator[ValueProblem]:
    """A tunnel's host can name a user and a port; its keys must not name them again."""
    if "host" not in values:
        return
    reference = parse_host_spec(values["host"])
    for key, inside in (("user", reference.user), ("port", reference.port)):
        if inside is not None and key in values:
            message = f"the host {values['host']!r} names a {key} already; remove one of them"
            yield ValueProblem((*at, key), message)
    if any(parse_host_spec(hop).is_same_server(reference) for hop in values.get("jump", ())):
        yield ValueProblem(
            (*at, "jump"), f"the tunnel's own host {values['host']!r} is a jump host"
        )


def _loops(hosts: Mapping[str, Values]) -> Iterator[ValueProblem]:
    """Jump hosts of [hosts] that need each other; each loop is named once."""
    jumps = {
        name: dict.fromkeys(parse_host_spec(hop).host for hop in values.get("jump", ()))
        for name, values in hosts.items()
    }
    while loop := _loop(jumps):
        first, second = loop[:2]
        way = " -> ".join(loop)
        yield ValueProblem(("hosts", first, "jump"), f"the jump hosts go round in a loop: {way}")
        del jumps[first][second]


def _loop(jumps: Mapping[str, Iterable[str]]) -> list[str]:
    """A way from a host through its jump hosts back to it, or nothing."""
    try:
        TopologicalSorter(jumps).prepare()
    except CycleError as error:
        loop: list[str] = error.args[1][::-1]  # it lists jump hosts before those that need them
        return loop
    return []
