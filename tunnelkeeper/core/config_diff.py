"""The smallest set of changes from one configuration to another, for a reload. It applies nothing.

A change of a host can also affect a tunnel whose own table is unchanged. The caller looks the
hosts up and finds such tunnels itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tunnelkeeper.core.configuration import HostOptions, Tunnel
    from tunnelkeeper.core.forward_spec import Forward


class Added(Struct, frozen=True):
    """A tunnel that is new."""

    tunnel: Tunnel


class Removed(Struct, frozen=True):
    """A tunnel that is no longer configured."""

    name: str


class HostSettingsChanged(Struct, frozen=True):
    """The host settings changed, so the tunnel must reconnect."""

    tunnel: Tunnel


class SettingsChanged(Struct, frozen=True):
    """Only forwards or policies changed, so the connection stays."""

    tunnel: Tunnel
    added: tuple[Forward, ...]
    removed: tuple[Forward, ...]


class TakenOver(Struct, frozen=True):
    """An ad-hoc tunnel that the file has now, with the same settings. Its connection stays."""

    tunnel: Tunnel


Change = Added | Removed | HostSettingsChanged | SettingsChanged | TakenOver


def diff(
    old: Mapping[str, Tunnel], new: Mapping[str, Tunnel], ad_hoc: Collection[str] = ()
) -> tuple[Change, ...]:
    """Return the changes from old to new: first removals, then in the order of the new file.

    Removals come first because a new tunnel may use one of their ports.
    ad_hoc: the names of running tunnels that are not in old. If new has one, it has its settings.
    """
    changes: list[Change] = [Removed(name) for name in old if name not in new]
    for name, tunnel in new.items():
        before = old.get(name)
        if name in ad_hoc:
            changes.append(TakenOver(tunnel))
        elif before is None:
            changes.append(Added(tunnel))
        elif _host_settings(before) != _host_settings(tunnel):
            changes.append(HostSettingsChanged(tunnel))
        elif before != tunnel:
            changes.append(_settings_changed(before, tunnel))
    return tuple(changes)


def _host_settings(tunnel: Tunnel) -> tuple[str, HostOptions]:
    return tunnel.host, tunnel.options


def _settings_changed(before: Tunnel, after: Tunnel) -> SettingsChanged:
    added = tuple(f for f in after.forwards if f not in before.forwards)
    removed = tuple(f for f in before.forwards if f not in after.forwards)
    return SettingsChanged(after, added, removed)


def name_of(change: Change) -> str:
    """Return the name of the changed tunnel."""
    return change.name if isinstance(change, Removed) else change.tunnel.name


def describe(change: Change) -> str:
    """Describe a change for the user who requested the reload."""
    match change:
        case Added(tunnel=tunnel):
            return f"{tunnel.name}: added"
        case TakenOver(tunnel=tunnel):
            return f"{tunnel.name}: in the config file now, its connection stays"
        case Removed(name=name):
            return f"{name}: removed"
        case HostSettingsChanged(tunnel=tunnel):
            return f"{tunnel.name}: host changed, reconnecting"
        case SettingsChanged(tunnel=tunnel, added=added, removed=removed):
            parts = [f"+{forward}" for forward in added] + [f"-{forward}" for forward in removed]
            what = f"forwards {', '.join(parts)}" if parts else "settings"
            return f"{tunnel.name}: {what} changed on the live connection"
        case _:
            assert_never(change)
