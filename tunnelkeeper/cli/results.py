"""The results of commands with --json. docs/commands.md has the fields; they are only ever added.

The results of `status`, `questions` and the relay's methods are those of the control protocol.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tunnelkeeper.core.snapshot import TunnelSnapshot  # noqa: TC001  msgspec reads it


class Tunnels(msgspec.Struct, frozen=True):
    """The tunnels that a command has waited for, as in `status`."""

    tunnels: list[TunnelSnapshot]


class Started(Tunnels, frozen=True):
    """The result of `up`. supervisor_started: whether there was none before."""

    supervisor_started: bool


class Forwarded(Tunnels, frozen=True):
    """The result of `forward --detach`. kept_in: the config file, if --keep has written it."""

    kept_in: str | None = None


class Stopped(msgspec.Struct, frozen=True):
    """The result of `down`.

    supervisor_ended: whether the supervisor was stopped with all tunnels. restarted_by: the unit of
    systemd that will start it again, or null; hint: the command that prevents that.
    """

    stopped: list[str] = []
    supervisor_ended: bool = False
    restarted_by: str | None = None
    hint: str = ""


class Restarted(msgspec.Struct, frozen=True):
    """The result of `restart`."""

    restarted: list[str]
    graceful: bool


class Reloaded(msgspec.Struct, frozen=True):
    """The result of `reload`. hints: what to do about each of the problems, or empty."""

    changes: list[str]
    problems: list[str] = []
    hints: list[str] = []


class Added(msgspec.Struct, frozen=True):
    """The result of `add`.

    changes: what the running supervisor changed; null: no supervisor uses the file. tunnels: with
    --up, as in `status`.
    """

    name: str
    file: str
    is_new_file: bool
    warnings: list[str]
    changes: list[str] | None = None
    tunnels: list[TunnelSnapshot] = []


class Removed(msgspec.Struct, frozen=True):
    """The result of `remove`. changes: as for `add`."""

    removed: list[str]
    file: str
    unused_hosts: list[str]
    warnings: list[str]
    changes: list[str] | None = None


class Created(msgspec.Struct, frozen=True):
    """The result of `init`."""

    config: str
    created: list[str]


class Unlocked(Tunnels, frozen=True):
    """The result of `unlock`. key: the private key of --key, which is unlocked now, or null."""

    key: str | None = None
    problems: list[str] = []


ImportAction = Literal["found", "added", "replaced"]


class ImportedResult(msgspec.Struct, frozen=True):
    """A tunnel of an import. notes: what was dropped or has another meaning, and why."""

    name: str
    origin: str
    action: ImportAction
    table: dict[str, Any]
    notes: list[str]


class NotImported(msgspec.Struct, frozen=True):
    """A line that was not imported, and why. hint: what to do about it, or empty."""

    origin: str
    reason: str
    hint: str = ""


class Imported(msgspec.Struct, frozen=True):
    """The result of `import`. file: the config file, if it was written."""

    file: str | None
    tunnels: list[ImportedResult]
    not_imported: list[NotImported]
    warnings: list[str]


class UnitText(msgspec.Struct, frozen=True):
    """A unit file of `units print`."""

    name: str
    text: str


class PrintedUnits(msgspec.Struct, frozen=True):
    """The result of `units print`."""

    units: list[UnitText]


class WrittenUnit(msgspec.Struct, frozen=True):
    """A unit file of `units install`. changed: whether it was written now."""

    path: str
    changed: bool


class InstalledUnits(msgspec.Struct, frozen=True):
    """The result of `units install`.

    outdated: running services that use the new unit after a restart. needs: what a start with no
    one present lacks. lingering: whether the units start at boot; null: unknown.
    """

    units: list[WrittenUnit]
    enabled: list[str]
    started: bool
    outdated: list[str]
    needs: list[str]
    lingering: bool | None


class RemovedUnits(msgspec.Struct, frozen=True):
    """The result of `units uninstall`: paths of files."""

    removed: list[str]
