"""`tunnelkeeper` without a command: what there is, and the next step."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli.config_change import shown
from tunnelkeeper.cli.global_options import in_hint
from tunnelkeeper.cli.styled_lines import terminal_width
from tunnelkeeper.config import ConfigError, load
from tunnelkeeper.control.client_errors import NoSupervisorError
from tunnelkeeper.presentation.text_layout import wrap_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.cli.settings import Settings

_ADD = "tunnelkeeper add db me@relay.example.com -L 5432:db.internal:5432 --up"
_SHOWN_NAMES = 8


def print_overview(ctx: click.Context, settings: Settings) -> None:
    """Print the situation and the next steps.

    Raises OSError, ProtocolError and TimeoutError if it is not known whether a supervisor runs.
    """
    try:
        settings.client_for_config().close()
    except NoSupervisorError:
        _describe_file(settings)
    else:
        from tunnelkeeper.cli import status

        ctx.invoke(status.command, names=(), watch=False)
        _print_steps(
            settings,
            ("tunnelkeeper dashboard", "all of it on the full screen"),
            ("tunnelkeeper logs -f", "follow the log"),
        )
    click.echo("\n`tunnelkeeper --help` lists all commands.")


def _describe_file(settings: Settings) -> None:
    """Print the state of the config file, while no supervisor runs."""
    path = shown(settings.config)
    if not settings.config.exists():
        click.echo(f"tunnelkeeper keeps SSH tunnels up. There is no config file yet:\n  {path}")
        _print_steps(
            settings,
            ("tunnelkeeper init", "write it, and import tunnels that this machine has already"),
            (_ADD, "write it with a first tunnel, and start that"),
            ("tunnelkeeper demo", "try every kind of tunnel on this machine"),
        )
        return
    try:
        tunnels = load(settings.config).tunnels
    except ConfigError as error:
        click.echo("The config file has problems, and no supervisor is running:")
        for line in wrap_lines([f"  {line}" for line in error.lines], terminal_width()):
            click.echo(line)
        _print_steps(settings, ("tunnelkeeper edit", "open the file, and check it again"))
        return
    if not tunnels:
        click.echo(f"{path} has no tunnels, and no supervisor is running.")
        _print_steps(
            settings,
            (_ADD, "add a tunnel and start it"),
            ("tunnelkeeper edit", "write tunnels by hand"),
        )
        return
    count = "1 tunnel" if len(tunnels) == 1 else f"{len(tunnels)} tunnels"
    click.echo(f"{path} has {count}: {_join(tunnels)}.\nNo supervisor is running.")
    steps = [("tunnelkeeper up --detach", "start the tunnels in the background")]
    if shutil.which("systemctl") is not None:
        steps.append(("tunnelkeeper units install --now", "let systemd start them at every boot"))
    steps.append(("tunnelkeeper check", "validate the file and everything it names"))
    _print_steps(settings, *steps)


def _join(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _SHOWN_NAMES
    return ", ".join([*names[:_SHOWN_NAMES], *([f"and {more} more"] if more > 0 else [])])


def _print_steps(settings: Settings, *steps: tuple[str, str]) -> None:
    """Print command lines, and what they do."""
    click.echo("\nNext:")
    for line, meaning in steps:
        click.echo(f"  {in_hint(line, settings.options)}\n      {meaning}")
