"""`tunnelkeeper up`: be the supervisor, put one in the background, or ask the one that runs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from tunnelkeeper import paths
from tunnelkeeper.cli import background, launch, wait
from tunnelkeeper.cli.settings import CommandError, listed, selection
from tunnelkeeper.config import ConfigError, load
from tunnelkeeper.control.client import NoSupervisorError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.presentation.tunnel_text import describe
from tunnelkeeper.systemd.notify import is_waiting
from tunnelkeeper.systemd.unit_templates import Ready

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client


@click.command()
@selection
@click.option("--detach", is_flag=True, help="In the background; back when the tunnels are up.")
@click.option(
    "--timeout",
    metavar="S",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    help="With --detach: wait this many seconds at most.",
)
@click.option(
    "--ready",
    type=click.Choice(get_args(Ready)),
    default="tried",
    show_default=True,
    help="When a service manager hears that all is ready: each tried once, or all up.",
)
@click.pass_obj
def command(
    settings: Settings,
    names: tuple[str, ...],
    group: str | None,
    detach: bool,
    timeout: float,
    ready: Ready,
) -> int:
    """Hold tunnels up; without a NAME or a group, all that start by themselves.

    Where a supervisor runs already, it is asked to start them. With --detach the exit code is 1
    when one of them is not up, and it is said why.
    """
    deadline = time.monotonic() + timeout
    if is_waiting(os.environ) and not detach:
        # A service manager wants this process to hold them, or to fail where another one does.
        return launch.run(settings.config, settings.socket, names, group, ready)
    try:
        client = settings.client()
    except NoSupervisorError:
        if not detach:
            return launch.run(settings.config, settings.socket, names, group, ready)
        return _in_the_background(settings, names, group, deadline)
    with client:
        _demand_the_same_file(settings, client)
        started = client.start(list(names), group)
        if detach:
            return _settled(client, started, deadline)
    click.echo(f"a supervisor runs already; it was asked to start {listed(started)}")
    return ExitCode.OK


def _demand_the_same_file(settings: Settings, client: Client) -> None:
    """A file that was named is not passed over because another one is held already.

    Raises Failed.
    """
    if settings.config_option is None:
        return
    held = Path(client.status().supervisor.config)
    if held.resolve() != settings.config.resolve():
        words = f"a supervisor runs already, and holds {held}, not {settings.config}"
        raise CommandError(f"{words}; a second one needs a socket of its own: --socket PATH")


def _in_the_background(
    settings: Settings, names: tuple[str, ...], group: str | None, deadline: float
) -> int:
    try:
        load(settings.config)  # what is wrong with the file is said here, not in a log
    except ConfigError as error:
        click.echo("\n".join(str(problem) for problem in error.problems), err=True)
        return ExitCode.USAGE
    arguments = launch.command_line(settings.config, settings.socket, names, group)
    started = background.start(arguments, paths.log_path(os.environ))
    try:
        with started.client(settings.socket, deadline) as client:
            # It starts them by itself; asked again, it names them.
            return _settled(client, client.start(list(names), group), deadline)
    except NoSupervisorError:
        raise started.failed() from None


def _settled(client: Client, names: list[str], deadline: float) -> int:
    """Wait until there is something to say of each tunnel, and say it."""
    tunnels = wait.wait_until(client, names, wait.is_settled, deadline)
    up = [tunnel.name for tunnel in tunnels.values() if tunnel.state == "up"]
    late = [tunnel for tunnel in tunnels.values() if tunnel.state != "up"]
    click.echo(f"up: {listed(up)}")
    for tunnel in late:
        click.echo("\n".join(describe(tunnel)), err=True)
    return ExitCode.FAILED if late else ExitCode.OK
