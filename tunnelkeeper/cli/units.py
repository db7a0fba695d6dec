"""`tunnelkeeper units print|install|uninstall`: systemd units for tunnels or a relay."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar, get_args

import click

from tunnelkeeper import paths
from tunnelkeeper.cli import launch
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import json_option, print_text, set_result
from tunnelkeeper.cli.names import expand
from tunnelkeeper.cli.relay_instance import instance_for
from tunnelkeeper.cli.results import (
    InstalledUnits,
    PrintedUnits,
    RemovedUnits,
    UnitText,
    WrittenUnit,
)
from tunnelkeeper.cli.settings import CommandError, join_names
from tunnelkeeper.cli.unit_options import parse_credentials, unit_texts
from tunnelkeeper.config import ConfigError, load
from tunnelkeeper.control.file_claim import socket_of_holder
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.systemd import systemctl, unit_files, unit_templates
from tunnelkeeper.systemd.systemctl import NoServiceManagerError, SystemctlError
from tunnelkeeper.systemd.unit_files import ForeignUnitError
from tunnelkeeper.systemd.unit_templates import Ready, UnitKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.core.message import Message

    Function = TypeVar("Function", bound=Callable[..., object])

LINGERING_ON = "lingering is on: the units start at boot, without a login"
LINGERING_OFF = (
    "lingering is off: the units start at your login and end at your logout. To start them at "
    "boot, without a login: loginctl enable-linger"
)
LINGERING_UNKNOWN = (
    "cannot tell whether lingering is on; with it the units start at boot, without a login: "
    "loginctl enable-linger"
)


def _unit_options(function: Function) -> Function:
    """Add the options of units to a command."""
    for option in (
        click.option(
            "--encrypted-credential",
            metavar="NAME[:FILE]",
            multiple=True,
            help="The same for a file that systemd-creds has encrypted.",
        ),
        click.option(
            "--credential",
            metavar="NAME[:FILE]",
            multiple=True,
            help="Pass a file as a credential, such as password-HOST or passphrase-KEY.",
        ),
        click.option(
            "--on-failure", metavar="UNIT", default="", help="A unit to start when it fails."
        ),
        click.option(
            "--ready",
            type=click.Choice(get_args(Ready)),
            default="tried",
            show_default=True,
            help="Ready when each tunnel was tried, or when all are up.",
        ),
        click.option(
            "--kind",
            type=click.Choice([kind.value for kind in UnitKind]),
            default=UnitKind.SUPERVISOR.value,
            show_default=True,
            help="What to run: all tunnels, one tunnel per unit, or a relay.",
        ),
    ):
        function = option(function)
    return function


_PRINT_EXAMPLES = """\b
Examples:
  tunnelkeeper units print
  tunnelkeeper units print --system --kind relay
"""
_INSTALL_EXAMPLES = """\b
Examples:
  tunnelkeeper units install --now
  tunnelkeeper units install --now --per-tunnel db web
"""
_UNINSTALL_EXAMPLES = """\b
Examples:
  tunnelkeeper units uninstall
"""
_EXAMPLES = """\b
Examples:
  tunnelkeeper units print
  tunnelkeeper units install --now
  tunnelkeeper units uninstall
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Let systemd run the tunnels at boot: user units for this installation."""


@command.command(
    "print", short_help="print the unit files", cls=TunnelsCommand, epilog=_PRINT_EXAMPLES
)
@_unit_options
@click.option("--system", is_flag=True, help="A system unit, with its own user.")
@json_option("Print the unit files as JSON.")
@click.pass_obj
def print_(
    settings: Settings,
    kind: str,
    ready: Ready,
    on_failure: str,
    credential: tuple[str, ...],
    encrypted_credential: tuple[str, ...],
    system: bool,
) -> int:
    """Print the unit files. Write and start nothing."""
    credentials = parse_credentials(credential, encrypted_credential)
    written = unit_texts(
        settings, UnitKind(kind), ready, on_failure, is_system=system, credentials=credentials
    )
    named = [f"# {name}\n{text}" if len(written) > 1 else text for name, text in written.items()]
    print_text("\n".join(named), nl=False)
    set_result(PrintedUnits([UnitText(name, text) for name, text in written.items()]))
    return ExitCode.OK


@command.command(
    short_help="write and enable user units", cls=TunnelsCommand, epilog=_INSTALL_EXAMPLES
)
@_unit_options
@click.option("--per-tunnel", is_flag=True, help="The same as --kind tunnel: a unit per NAME.")
@click.option("--now", is_flag=True, help="Start them too, and return when they are ready.")
@json_option("Print what was installed as JSON.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.pass_obj
def install(
    settings: Settings,
    *,
    kind: str,
    ready: Ready,
    on_failure: str,
    credential: tuple[str, ...],
    encrypted_credential: tuple[str, ...],
    per_tunnel: bool,
    now: bool,
    names: tuple[str, ...],
) -> int:
    """Write user units and enable them.

    Run it again after a change or an upgrade: only changed units are written.
    """
    meant = UnitKind.TUNNEL if per_tunnel else UnitKind(kind)
    if bool(names) != (meant is UnitKind.TUNNEL):
        raise click.UsageError(
            "--per-tunnel needs the NAMEs of tunnels, and NAMEs need --per-tunnel"
        )
    if meant is UnitKind.RELAY and os.geteuid() == 0:
        raise CommandError(
            "a user unit of root would serve strangers as root, which `relay serve` refuses",
            ExitCode.USAGE,
            "tunnelkeeper units print --system --kind relay",
        )
    with suppress(ConfigError):  # reported below
        names = tuple(expand(names, lambda: load(settings.config).tunnels))
    problems = _problems(settings, meant, names)
    if problems:
        raise CommandError("nothing was installed", ExitCode.USAGE, problems=problems)
    try:
        systemctl.require_manager()
        credentials = parse_credentials(credential, encrypted_credential)
        texts = unit_texts(settings, meant, ready, on_failure, credentials=credentials)
        _refuse_second_supervisor(settings, meant, texts, now=now)
        needs: list[str] = []
        if meant is not UnitKind.RELAY:
            needs = _show_needs(settings, names, {each.name for each in credentials})
        set_result(_install(texts, _services(meant, names), needs, now=now))
    except (NoServiceManagerError, ForeignUnitError, SystemctlError) as error:
        raise CommandError(str(error), hint=getattr(error, "hint", "")) from error
    return ExitCode.OK


@command.command(
    short_help="stop and remove the installed units", cls=TunnelsCommand, epilog=_UNINSTALL_EXAMPLES
)
@json_option("Print the removed files as JSON.")
def uninstall() -> int:
    """Stop and remove every user unit that `install` wrote, and nothing else."""
    folder = paths.user_units_folder(os.environ)
    found = unit_files.own_units(folder)
    if not found:
        print_text(f"no units of tunnelkeeper in {folder}")
        set_result(RemovedUnits([]))
        return ExitCode.OK
    try:
        systemctl.require_manager()
        running = [
            unit_templates.INSTANCE_PATTERN if name == unit_templates.TEMPLATE else name
            for name in found
        ]
        systemctl.run_systemctl("stop", *running, timeout=None)
        systemctl.run_systemctl("disable", *found)
        with suppress(SystemctlError):  # a unit that never ran has no failure to reset
            systemctl.run_systemctl("reset-failed", *running)
        unit_files.remove_units(folder, found)
        systemctl.run_systemctl("daemon-reload")
    except (NoServiceManagerError, ForeignUnitError, SystemctlError) as error:
        raise CommandError(str(error), hint=getattr(error, "hint", "")) from error
    print_text("\n".join(f"removed {folder / name}" for name in found))
    set_result(RemovedUnits([str(folder / name) for name in found]))
    return ExitCode.OK


def _problems(settings: Settings, kind: UnitKind, names: tuple[str, ...]) -> list[Message]:
    """Return the problems that would keep the service from starting.

    Raises CommandError for an unknown tunnel.
    """
    if kind is UnitKind.RELAY:
        instance = instance_for(settings, None)
        found = launch.check_relay(instance.config, must_exist=instance.is_named).problems
        return [*ConfigError(found).messages]
    try:
        known = load(settings.config).tunnels
    except ConfigError as error:
        return [*error.messages]
    for name in names:
        if name not in known:
            raise CommandError(
                f"{settings.config}: no tunnel is named {name!r}", ExitCode.NOT_FOUND
            )
    return []


def _show_needs(settings: Settings, names: tuple[str, ...], credentials: set[str]) -> list[str]:
    """Print and return what a start with no one present lacks."""
    needs = launch.unattended_needs(settings.config, names, credentials)
    if needs:
        print_text("a start with no one present needs an answer to this first:")
        print_text("\n".join(f"  {need}" for need in needs))
    return needs


def _services(kind: UnitKind, names: tuple[str, ...]) -> list[str]:
    """Return the units to enable and start. They may pull in others."""
    match kind:
        case UnitKind.SUPERVISOR:
            return [unit_templates.SUPERVISOR]
        case UnitKind.TUNNEL:
            return [unit_templates.instance_name(name) for name in names]
        case UnitKind.RELAY:
            return [unit_templates.RELAY]


def _refuse_second_supervisor(
    settings: Settings, kind: UnitKind, texts: Mapping[str, str], *, now: bool
) -> None:
    """Check that nothing else holds the tunnels of the config file.

    Raises CommandError with the command that ends the other one.
    """
    folder = paths.user_units_folder(os.environ)
    others: list[str] = []
    if kind is UnitKind.TUNNEL:
        if unit_files.uses_config_of(folder, unit_templates.SUPERVISOR, *texts.values()):
            others = [u for u in [unit_templates.SUPERVISOR] if _is_active(u) or _is_enabled(u)]
    elif kind is UnitKind.SUPERVISOR:
        if unit_files.uses_config_of(folder, unit_templates.TEMPLATE, *texts.values()):
            enabled = unit_files.enabled_instances(folder)
            others = sorted({*enabled, *systemctl.active_units(unit_templates.INSTANCE_PATTERN)})
    else:
        return
    if others:
        raise CommandError(
            f"{join_names(others)} would hold tunnels of {settings.config} as well",
            hint=f"systemctl --user disable --now {' '.join(others)}",
        )
    if now and not _is_active(unit_templates.SUPERVISOR):
        socket = socket_of_holder(paths.claims_folder(os.environ), settings.config)
        if socket is not None:
            raise CommandError(
                f"the supervisor at {socket} holds {settings.config}",
                hint=shlex.join(["tunnelkeeper", "--socket", str(socket), "down"]),
            )


def _install(
    written: Mapping[str, str], services: list[str], needs: list[str], *, now: bool
) -> InstalledUnits:
    """Write, enable and start units, and print what was done. Return it."""
    folder = paths.user_units_folder(os.environ)
    changed = unit_files.write_units(folder, written)
    for name in written:
        print_text(f"{'wrote' if name in changed else 'unchanged:'} {folder / name}")
    systemctl.run_systemctl("daemon-reload")
    systemctl.run_systemctl("enable", *services)
    print_text(f"enabled {join_names(services)}")
    outdated = [each for each in services if changed and _is_active(each)]
    if now:
        systemctl.run_systemctl("start", *services, timeout=None)
        print_text(f"running: systemctl --user status {' '.join(services)}")
    if outdated:
        command = f"systemctl --user restart {' '.join(outdated)}"
        print_text(f"running services use the new unit after a restart: {command}")
    lingering = systemctl.is_lingering()
    print_text({True: LINGERING_ON, False: LINGERING_OFF, None: LINGERING_UNKNOWN}[lingering])
    units = [WrittenUnit(str(folder / name), name in changed) for name in written]
    return InstalledUnits(units, services, now, outdated, needs, lingering)


def _is_enabled(unit: str) -> bool:
    return _property(unit, "UnitFileState") == "enabled"


def _is_active(unit: str) -> bool:
    return _property(unit, "ActiveState") == "active"


def _property(unit: str, name: str) -> str:
    return systemctl.run_systemctl("show", f"--property={name}", "--value", unit).strip()
