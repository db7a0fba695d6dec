"""Tunnels that no config file has, resolved with the tables of a file as if it had them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.config.errors import InvalidValueError, ValueProblem, format_key_path
from tunnelkeeper.config.forward_values import Entry
from tunnelkeeper.config.merging import merge
from tunnelkeeper.config.sections import read_sections
from tunnelkeeper.config.validation import conflicts, listen_conflicts, warnings
from tunnelkeeper.config.value_parsers import name as read_name
from tunnelkeeper.core.forward_spec import kind_of
from tunnelkeeper.core.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tunnelkeeper.config.sections import Values
    from tunnelkeeper.core.configuration import Configuration, Tunnel


class InvalidTunnelError(Exception):
    """A table that makes no tunnel."""

    def __init__(self, problems: Sequence[Message]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def check_name(name: str) -> None:
    """Check the name of a tunnel.

    Raises InvalidTunnelError.
    """
    try:
        read_name(name)
    except InvalidValueError as error:
        raise InvalidTunnelError([Message(f"the name of the tunnel: {error}")]) from None


def resolve_tunnel(
    name: str, table: Mapping[str, object], file: Configuration, others: Iterable[Tunnel] = ()
) -> tuple[Tunnel, list[str]]:
    """Return a tunnel as if it were in the config file, and the warnings about it.

    others: tunnels of this machine whose listeners it must not use. Raises InvalidTunnelError.
    """
    document = {**file.shared_tables, "tunnels": {name: table}}
    sections, problems = read_sections(document)
    problems += conflicts(sections)
    if not problems:
        in_use = {each.name: _listening_values(each) for each in others}
        problems += listen_conflicts({**in_use, name: sections.tunnels[name]})
    if problems:
        raise InvalidTunnelError([Message(_describe(each), each.hint) for each in problems])
    merged = merge(sections, file.path)
    found = warnings({"tunnels": {name: table}}, merged)
    return merged.tunnels[name], [_describe(problem) for problem in found]


def find_shared_listeners(open_tunnels: Iterable[Tunnel], file: Configuration) -> list[str]:
    """Return a sentence for each listener of the file's tunnels that an open tunnel has."""
    tunnels = [*open_tunnels, *file.tunnels.values()]
    found = listen_conflicts({each.name: _listening_values(each) for each in tunnels})
    return [f"{format_key_path(each.key_path)}: {each.message}" for each in found]


def _listening_values(tunnel: Tunnel) -> Values:
    """Return the forwards of a tunnel that listen here, as values of its table."""
    return {
        kind: tuple(Entry(each) for each in tunnel.forwards if kind_of(each) == kind)
        for kind in ("local", "socks")
    }


def _describe(problem: ValueProblem) -> str:
    """Return a problem without the name of the table, which the person has not written."""
    key = format_key_path(problem.key_path[2:])
    return ": ".join(filter(None, (key, problem.message)))
