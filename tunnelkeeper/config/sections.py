"""Reading of the four sections of a document, each table by itself. It merges nothing.

A value that cannot be read is left out and reported, so that all problems are found at once.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tunnelkeeper.config import schema
from tunnelkeeper.config.errors import (
    InvalidValueError,
    KeyPath,
    ValueProblem,
    format_value,
    prefixed,
)
from tunnelkeeper.config.table_reader import read_keys, unknown_key
from tunnelkeeper.config.value_parsers import name as read_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tunnelkeeper.config.parser import Keys
    from tunnelkeeper.core.message import Message

SECTIONS = ("supervisor", "defaults", "hosts", "tunnels")

Values = dict[str, Any]
"""The values of one table that could be read, by key."""


class Sections(Struct, frozen=True):
    """The values of a file, table by table. hosts and tunnels are keyed by name."""

    supervisor: Values
    defaults: Values
    hosts: dict[str, Values]
    tunnels: dict[str, Values]


def read_sections(document: Mapping[str, object]) -> tuple[Sections, list[ValueProblem]]:
    """Return the values that can be read, and the problems of the others."""
    problems = [
        ValueProblem((key,), unknown.text, unknown.hint)
        for key in document
        if key not in SECTIONS
        for unknown in (unknown_key(key, SECTIONS),)
    ]
    sections = Sections(
        supervisor=_section(document, "supervisor", _SUPERVISOR, problems),
        defaults=_section(document, "defaults", _DEFAULTS, problems),
        hosts=_named_tables(document, "hosts", _HOST, problems),
        tunnels=_named_tables(document, "tunnels", _TUNNEL, problems),
    )
    return sections, problems + _missing_hosts(document)


class _TableKind(Struct, frozen=True):
    """A kind of table: its keys, and the message for an unknown key and its value."""

    keys: Keys
    explain: Callable[[str, object], Message] | None = None


_SUPERVISOR = _TableKind(schema.SUPERVISOR_KEYS)
_DEFAULTS = _TableKind(schema.DEFAULTS_KEYS, schema.unknown_in_defaults)
_HOST = _TableKind(schema.HOST_KEYS, schema.unknown_in_host)
_TUNNEL = _TableKind(schema.TUNNEL_KEYS, schema.unknown_in_tunnel)


def _section(
    document: Mapping[str, object], section: str, kind: _TableKind, problems: list[ValueProblem]
) -> Values:
    """Read a section that is one table, empty if absent. Add to the problems."""
    return _table(document.get(section, {}), (section,), kind, problems)


def _named_tables(
    document: Mapping[str, object], section: str, kind: _TableKind, problems: list[ValueProblem]
) -> dict[str, Values]:
    """Read a section of named tables. Add to the problems."""
    tables = document.get(section, {})
    if not isinstance(tables, dict):
        message = f"expected tables with names, [{section}.NAME], got {format_value(tables)}"
        problems.append(ValueProblem((section,), message))
        return {}
    for name in tables:
        try:
            read_name(name)
        except InvalidValueError as error:
            problems += prefixed((section, name), error.problems)
    return {name: _table(tables[name], (section, name), kind, problems) for name in tables}


def _table(table: object, at: KeyPath, kind: _TableKind, problems: list[ValueProblem]) -> Values:
    """Read the table at a key path. Add to the problems."""
    if not isinstance(table, dict):
        problems.append(ValueProblem(at, f"expected a table, got {format_value(table)}"))
        return {}
    values, refused = read_keys(table, kind.keys, kind.explain)
    problems += prefixed(at, refused)
    return values


def _missing_hosts(document: Mapping[str, object]) -> list[ValueProblem]:
    """Return a problem for each tunnel without a host, unless a misspelt key names one."""
    tunnels = document.get("tunnels")
    return [
        ValueProblem(
            ("tunnels", name),
            "'host' is missing",
            'write host = "...": a [hosts] name, an ssh_config alias or [user@]host[:port]',
        )
        for name, table in (tunnels.items() if isinstance(tunnels, dict) else ())
        if isinstance(table, dict) and "host" not in table and not _has_misspelt_host(table)
    ]


def _has_misspelt_host(table: Mapping[str, object]) -> bool:
    return any(
        get_close_matches(key.lower(), ["host"]) for key in table if key not in schema.TUNNEL_KEYS
    )
