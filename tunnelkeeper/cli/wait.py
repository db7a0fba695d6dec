"""`tunnelkeeper wait`: be back when tunnels are up, or down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli import wait_until
from tunnelkeeper.cli.errors import CommandError
from tunnelkeeper.control.client import NoSupervisorError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.presentation.tunnel_text import describe

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.core.snapshot import TunnelSnapshot

_STATE = {"up": "up", "down": "stopped"}


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--for", "goal", type=click.Choice(["up", "down"]), default="up", show_default=True)
@click.option("--timeout", metavar="S", type=click.FloatRange(min=0), help="Give up after seconds.")
@click.pass_obj
def command(settings: Settings, names: tuple[str, ...], goal: str, timeout: float | None) -> int:
    """Wait until every NAME is up, or down; without a timeout, for as long as it takes."""
    deadline = None if timeout is None else time.monotonic() + timeout
    wanted = _STATE[goal]

    def holds(tunnel: TunnelSnapshot) -> bool:
        return tunnel.state == wanted

    with settings.client() as client:
        try:
            seen = wait_until.until(client, names, holds, deadline)
        except NoSupervisorError:
            if goal == "up":
                raise
            return ExitCode.OK  # with the supervisor its tunnels went down
    if goal == "up" and (gone := sorted(set(names) - set(seen))):
        raise CommandError(f"no longer in the config file: {', '.join(gone)}", ExitCode.NOT_FOUND)
    late = [tunnel for tunnel in seen.values() if not holds(tunnel)]
    for tunnel in late:
        click.echo("\n".join(describe(tunnel)), err=True)
    if late:
        raise TimeoutError(f"not {goal} within {timeout:g} s: {', '.join(t.name for t in late)}")
    return ExitCode.OK
