"""Unique names and ports for the tunnels of one import.

Two commands that listen on the same local port never ran together, so only the first is imported.
The config file's own parser validates each table.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tunnelkeeper.config import ConfigError, parse
from tunnelkeeper.core.forward_spec import Address, LocallyBoundForward
from tunnelkeeper.core.tunnel_names import make_unique
from tunnelkeeper.importing.source_commands import ImportedTunnel, NotImportable
from tunnelkeeper.importing.toml_text import format_tunnel
from tunnelkeeper.net.bind_addresses import overlap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tunnelkeeper.core.configuration import Tunnel

Outcome = ImportedTunnel | NotImportable


def deduplicate(
    outcomes: Iterable[Outcome], existing: Collection[str] = (), *, replace_existing: bool = False
) -> list[Outcome]:
    """Return the outcomes with a unique name for each tunnel.

    existing: the names in the file. replace_existing: whether a tunnel may take one of them. A
    name with an added number never replaces an existing tunnel.
    """
    names: set[str] = set()
    listeners: list[tuple[Address, str]] = []
    result: list[Outcome] = []
    for outcome in outcomes:
        if isinstance(outcome, NotImportable):
            result.append(outcome)
            continue
        name = outcome.name
        if name in names or (name in existing and not replace_existing):
            name = make_unique(name, names.union(existing))
        tunnel = replace(outcome, name=name)
        parsed = _parse_tunnel(tunnel)
        if isinstance(parsed, NotImportable):
            result.append(parsed)
            continue
        addresses = [
            forward.listen
            for forward in parsed.forwards
            if isinstance(forward, LocallyBoundForward)
        ]
        conflicts = [
            (address, owner)
            for address in addresses
            for taken, owner in listeners
            if overlap(address, taken)
        ]
        if conflicts:
            address, owner = conflicts[0]
            reason = f"it listens on {address}, which {owner} already uses"
            result.append(NotImportable(outcome.origin, reason))
            continue
        names.add(name)
        listeners += [(address, name) for address in addresses]
        result.append(tunnel)
    return result


def _parse_tunnel(tunnel: ImportedTunnel) -> Tunnel | NotImportable:
    """Parse the tunnel as the config file would."""
    try:
        return parse(format_tunnel(tunnel), "").tunnels[tunnel.name]
    except ConfigError as error:
        reason = "; ".join(f"{problem.key}: {problem.message}" for problem in error.problems)
        return NotImportable(tunnel.origin, reason)
