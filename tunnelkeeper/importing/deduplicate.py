"""Puts the tunnels of one import together: each has a name of its own and ports of its own.

Two old lines that listen on one port of this machine never ran together; the first is taken.
Whether a table is right is asked of the config file's own reader.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tunnelkeeper.config import ConfigError, parse
from tunnelkeeper.core.forward_spec import Address, LocallyBoundForward
from tunnelkeeper.importing.source_commands import ImportedTunnel, NotImportable
from tunnelkeeper.importing.toml_text import toml_of
from tunnelkeeper.importing.tunnel_names import unused
from tunnelkeeper.net.bind_addresses import overlap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tunnelkeeper.core.configuration import Tunnel

Outcome = ImportedTunnel | NotImportable


def deduplicate(
    outcomes: Iterable[Outcome], existing: Collection[str] = (), *, replaces: bool = False
) -> list[Outcome]:
    """The outcomes, each tunnel with a name of its own.

    existing: the names in the file. replaces: whether a tunnel may take such a name, unless it only
    gets it to be told from another one.
    """
    names: set[str] = set()
    listeners: list[tuple[Address, str]] = []
    found: list[Outcome] = []
    for outcome in outcomes:
        if isinstance(outcome, NotImportable):
            found.append(outcome)
            continue
        name = outcome.name
        if name in names or (name in existing and not replaces):
            name = unused(name, names.union(existing))
        tunnel = replace(outcome, name=name)
        checked = _checked(tunnel)
        if isinstance(checked, NotImportable):
            found.append(checked)
            continue
        own = [each.listen for each in checked.forwards if isinstance(each, LocallyBoundForward)]
        clash = next(((a, who) for a in own for other, who in listeners if overlap(a, other)), None)
        if clash is not None:
            address, who = clash
            found.append(
                NotImportable(outcome.origin, f"listens on {address}, where {who} does already")
            )
            continue
        names.add(name)
        listeners += [(address, name) for address in own]
        found.append(tunnel)
    return found


def _checked(tunnel: ImportedTunnel) -> Tunnel | NotImportable:
    """The tunnel as the config file's reader understands it."""
    try:
        return parse(toml_of(tunnel), "").tunnels[tunnel.name]
    except ConfigError as error:
        why = "; ".join(f"{each.key}: {each.message}" for each in error.problems)
        return NotImportable(tunnel.origin, why)
