"""`tunnelkeeper units print|install|uninstall`: have systemd hold tunnels, or a relay."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar, get_args

import click

from tunnelkeeper import paths
from tunnelkeeper.cli import launch
from tunnelkeeper.cli.relay_instance import instance_for
from tunnelkeeper.cli.settings import CommandError, listed
from tunnelkeeper.cli.unit_options import unit_texts
from tunnelkeeper.config import ConfigError, load
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.systemd import systemctl, unit_files, unit_templates
from tunnelkeeper.systemd.systemctl import NoServiceManagerError, SystemctlError
from tunnelkeeper.systemd.unit_files import ForeignUnitError
from tunnelkeeper.systemd.unit_templates import Ready, UnitKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tunnelkeeper.cli.settings import Settings

    Function = TypeVar("Function", bound=Callable[..., object])

LINGERS = "lingering is on: they start with the machine, without a login"
LINGERS_NOT = (
    "lingering is off: they start when you log in and end when you log out. To have them from boot "
    "on, without a login: loginctl enable-linger"
)
LINGERS_PERHAPS = (
    "whether lingering is on cannot be told here; with it they start with the machine, without a "
    "login: loginctl enable-linger"
)


def _choices(function: Function) -> Function:
    """The options of whatever writes a unit."""
    for option in (
        click.option(
            "--on-failure", metavar="UNIT", default="", help="A unit to start when it fails."
        ),
        click.option(
            "--ready",
            type=click.Choice(get_args(Ready)),
            default="tried",
            show_default=True,
            help="Ready once every tunnel was tried, or when all are up.",
        ),
        click.option(
            "--kind",
            type=click.Choice([kind.value for kind in UnitKind]),
            default=UnitKind.SUPERVISOR.value,
            show_default=True,
            help="What is to run: all tunnels, one for each unit, or a relay.",
        ),
    ):
        function = option(function)
    return function


@click.group()
def command() -> None:
    """Have systemd hold the tunnels, after every boot: user units, made for this installation."""


@command.command("print", short_help="print the unit files")
@_choices
@click.option("--system", is_flag=True, help="A unit of the system, with a user of its own.")
@click.pass_obj
def print_(settings: Settings, kind: str, ready: Ready, on_failure: str, system: bool) -> int:
    """Print the unit files; nothing is written or started."""
    written = unit_texts(settings, UnitKind(kind), ready, on_failure, is_system=system)
    named = [f"# {name}\n{text}" if len(written) > 1 else text for name, text in written.items()]
    click.echo("\n".join(named), nl=False)
    return ExitCode.OK


@command.command(short_help="write user units, have systemd start them")
@_choices
@click.option("--per-tunnel", is_flag=True, help="The same as --kind tunnel: a unit for each NAME.")
@click.option("--now", is_flag=True, help="Start them too, and come back when they are ready.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.pass_obj
def install(
    settings: Settings,
    kind: str,
    ready: Ready,
    on_failure: str,
    per_tunnel: bool,
    now: bool,
    names: tuple[str, ...],
) -> int:
    """Write user units and have systemd start them from now on.

    Again after a change or an upgrade: only what differs is written.
    """
    meant = UnitKind.TUNNEL if per_tunnel else UnitKind(kind)
    if bool(names) != (meant is UnitKind.TUNNEL):
        raise click.UsageError("--per-tunnel goes with the NAMEs of tunnels, and they with it")
    problems = _problems(settings, meant, names)
    if problems:
        click.echo("\n".join(problems), err=True)
        raise CommandError("nothing was installed", ExitCode.USAGE)
    try:
        systemctl.require_manager()
        _install(unit_texts(settings, meant, ready, on_failure), _services(meant, names), now=now)
    except (NoServiceManagerError, ForeignUnitError, SystemctlError) as error:
        raise CommandError(str(error)) from error
    return ExitCode.OK


@command.command(short_help="stop and remove what install wrote")
def uninstall() -> int:
    """Stop and remove every user unit that `install` wrote, and nothing else."""
    folder = paths.user_units_folder(os.environ)
    found = unit_files.own_units(folder)
    if not found:
        click.echo(f"there is no unit of tunnelkeeper's in {folder}")
        return ExitCode.OK
    try:
        systemctl.require_manager()
        running = [
            unit_templates.INSTANCE_PATTERN if name == unit_templates.TEMPLATE else name
            for name in found
        ]
        systemctl.run_systemctl("stop", *running, timeout=None)
        systemctl.run_systemctl("disable", *found)
        with suppress(SystemctlError):  # of one that never ran there is nothing to forget
            systemctl.run_systemctl("reset-failed", *running)
        unit_files.remove_units(folder, found)
        systemctl.run_systemctl("daemon-reload")
    except (NoServiceManagerError, ForeignUnitError, SystemctlError) as error:
        raise CommandError(str(error)) from error
    click.echo("\n".join(f"removed {folder / name}" for name in found))
    return ExitCode.OK


def _problems(settings: Settings, kind: UnitKind, names: tuple[str, ...]) -> list[str]:
    """What would keep the service from starting.

    Raises Failed for the name of no tunnel.
    """
    if kind is UnitKind.RELAY:
        instance = instance_for(settings, None)
        return launch.check_relay(instance.config, must_exist=instance.is_named).problems
    try:
        known = load(settings.config).tunnels
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    for name in names:
        if name not in known:
            raise CommandError(
                f"{settings.config}: no tunnel is named {name!r}", ExitCode.NOT_FOUND
            )
    return []


def _services(kind: UnitKind, names: tuple[str, ...]) -> list[str]:
    """What is enabled and started; a unit may bring others along."""
    match kind:
        case UnitKind.SUPERVISOR:
            return [unit_templates.SUPERVISOR]
        case UnitKind.TUNNEL:
            return [unit_templates.instance_name(name) for name in names]
        case UnitKind.RELAY:
            return [unit_templates.RELAY]


def _install(written: Mapping[str, str], services: list[str], *, now: bool) -> None:
    folder = paths.user_units_folder(os.environ)
    changed = unit_files.write_units(folder, written)
    for name in written:
        click.echo(f"{'wrote' if name in changed else 'unchanged:'} {folder / name}")
    systemctl.run_systemctl("daemon-reload")
    systemctl.run_systemctl("enable", *services)
    click.echo(f"enabled {listed(services)}")
    outdated = [each for each in services if changed and _is_active(each)]
    if now:
        systemctl.run_systemctl("start", *services, timeout=None)
        click.echo(f"running: systemctl --user status {' '.join(services)}")
    if outdated:
        words = f"systemctl --user restart {' '.join(outdated)}"
        click.echo(f"what runs already takes the new unit with its next start: {words}")
    click.echo({True: LINGERS, False: LINGERS_NOT, None: LINGERS_PERHAPS}[systemctl.is_lingering()])


def _is_active(unit: str) -> bool:
    return (
        systemctl.run_systemctl("show", "--property=ActiveState", "--value", unit).strip()
        == "active"
    )
