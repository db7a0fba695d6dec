"""Reads the four sections of a document, each table by itself; nothing is put together yet.

What cannot be read is left out and named as a fault, so that all faults are found in one go.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from tunnelkeeper.config import schema
from tunnelkeeper.config.errors import KeyPath, ValueProblem, ValueRefusedError, found, under
from tunnelkeeper.config.table_reader import Keys, read_keys, unknown_key
from tunnelkeeper.config.value_parsers import name as read_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SECTIONS = ("supervisor", "defaults", "hosts", "tunnels")

Values = dict[str, Any]
"""The values of one table that could be read, by key."""


@dataclass(frozen=True, slots=True)
class Sections:
    """What a file says, table by table. hosts and tunnels are by name."""

    supervisor: Values
    defaults: Values
    hosts: dict[str, Values]
    tunnels: dict[str, Values]


def read_sections(document: Mapping[str, object]) -> tuple[Sections, list[ValueProblem]]:
    """The values of a document that can be read, and the faults of all others."""
    faults = [
        ValueProblem((key,), unknown_key(key, SECTIONS)) for key in document if key not in SECTIONS
    ]
    sections = Sections(
        supervisor=_section(document, "supervisor", _SUPERVISOR, faults),
        defaults=_section(document, "defaults", _DEFAULTS, faults),
        hosts=_named_tables(document, "hosts", _HOST, faults),
        tunnels=_named_tables(document, "tunnels", _TUNNEL, faults),
    )
    return sections, faults + _missing_hosts(document)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of table: its keys, and what to say of any other key and its value."""

    keys: Keys
    explain: Callable[[str, object], str] | None = None


_SUPERVISOR = _Kind(schema.SUPERVISOR_KEYS)
_DEFAULTS = _Kind(schema.DEFAULTS_KEYS, schema.unknown_in_defaults)
_HOST = _Kind(schema.HOST_KEYS, schema.unknown_in_host)
_TUNNEL = _Kind(schema.TUNNEL_KEYS, schema.unknown_in_tunnel)


def _section(
    document: Mapping[str, object], section: str, kind: _Kind, faults: list[ValueProblem]
) -> Values:
    """Read a section that is one table; an absent one is empty. Adds to the faults."""
    return _table(document.get(section, {}), (section,), kind, faults)


def _named_tables(
    document: Mapping[str, object], section: str, kind: _Kind, faults: list[ValueProblem]
) -> dict[str, Values]:
    """Read a section of tables with names. Adds to the faults."""
    tables = document.get(section, {})
    if not isinstance(tables, dict):
        message = f"expected tables with names, [{section}.NAME], got {found(tables)}"
        faults.append(ValueProblem((section,), message))
        return {}
    for name in tables:
        try:
            read_name(name)
        except ValueRefusedError as error:
            faults += under((section, name), error.faults)
    return {name: _table(tables[name], (section, name), kind, faults) for name in tables}


def _table(table: object, at: KeyPath, kind: _Kind, faults: list[ValueProblem]) -> Values:
    """Read a table that stands at a place of the document. Adds to the faults."""
    if not isinstance(table, dict):
        faults.append(ValueProblem(at, f"expected a table, got {found(table)}"))
        return {}
    values, refused = read_keys(table, kind.keys, kind.explain)
    faults += under(at, refused)
    return values


def _missing_hosts(document: Mapping[str, object]) -> list[ValueProblem]:
    """A fault for each tunnel that names no host, not even by a misspelt key."""
    tunnels = document.get("tunnels")
    return [
        ValueProblem(
            ("tunnels", name),
            "'host' is missing: a [hosts] name, an ssh_config alias or [user@]host[:port]",
        )
        for name, table in (tunnels.items() if isinstance(tunnels, dict) else ())
        if isinstance(table, dict) and "host" not in table and not _has_misspelt_host(table)
    ]


def _has_misspelt_host(table: Mapping[str, object]) -> bool:
    return any(
        get_close_matches(key.lower(), ["host"]) for key in table if key not in schema.TUNNEL_KEYS
    )
